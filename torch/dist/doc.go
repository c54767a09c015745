// Package dist joins processes into a group that trains one model: sums of tensors, broadcasts, and finding out who
// failed.
//
// The engine is libtorch's own c10d, as PyTorch uses it: a TCPStore to meet at, Gloo to talk by, NCCL between GPUs.
// Package launch reads from the environment where to meet, as torchrun, Slurm's srun, Kubernetes' PyTorchJob or a
// person set it; [Join] meets the others.
//
// Collectives must be called by all ranks in the same order, from one goroutine at a time; those on tensors inside
// torch.Do. One that fails returns an [*Error], which names the rank to blame, after at most the timeout that Join was
// given; then the group is of no more use.
package dist
