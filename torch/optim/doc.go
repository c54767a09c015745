// Package optim holds what moves parameters: AdamW with weight-decay groups, clipping by global norm, learning-rate
// schedules, an exponential moving average of weights, and the loss scale that float16 needs. All state can be saved
// and put back exactly.
//
// Everything that takes tensors runs inside torch.Do. The state's tensors are kept; Free releases them.
package optim
