/* What libtch lacks or spoils, over libtorch's C++ API. Handles are torch::Tensor*, the same as libtch's.
   A function that can fail returns NULL or a malloc'ed one-line message; nothing goes through a thread-local.
   *out is the new handle, where there is one. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef void *ct_tensor;

/* data in and out: bridge.cpp */
char *ct_from_bytes(ct_tensor *out, const void *data, size_t bytes, const int64_t *shape, int dims, int dtype);
char *ct_from_blob(ct_tensor *out, void *data, size_t bytes, const int64_t *shape, int dims, int dtype);
char *ct_to_bytes(ct_tensor t, void *to, size_t bytes);
char *ct_storage(ct_tensor t, void **data, size_t *bytes); /* 0 bytes where the elements have gaps */
char *ct_empty(ct_tensor *out, const int64_t *shape, int dims, int dtype, int device);
char *ct_full(ct_tensor *out, const int64_t *shape, int dims, double value, int dtype, int device);
char *ct_channels_last(ct_tensor *out, ct_tensor t);
int ct_device(ct_tensor t); /* the number of its GPU; -1 for the CPU */
char *ct_move(ct_tensor *out, ct_tensor t, int device, int dtype, int copy);
char *ct_randn(ct_tensor *out, const int64_t *shape, int dims, int dtype, int device);

/* modes; each getter and setter touches the calling thread only */
int ct_grad_enabled(void);
void ct_set_grad_enabled(int on);
void *ct_inference_begin(void);
void ct_inference_end(void *guard);
int ct_autocast_dtype(int cuda); /* -1 where autocast is off */
char *ct_autocast_begin(int cuda, int dtype);
char *ct_autocast_end(int cuda, int previous);

/* random numbers and threads */
char *ct_seed(uint64_t seed);
char *ct_rng_state(ct_tensor *out, int device);
char *ct_set_rng_state(ct_tensor state, int device);
char *ct_set_threads(int n);
int ct_threads(void);
int ct_parallel_threads(void); /* how many threads a kernel of ours runs on */

/* autograd */
char *ct_backward(ct_tensor loss);
char *ct_requires_grad(ct_tensor t, int on);
char *ct_grad(ct_tensor *out, ct_tensor t); /* *out stays NULL where there is no gradient */
char *ct_clear_grad(ct_tensor t);

/* operations whose libtch form leaks, fails or does not exist */
char *ct_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor mask, double dropout, int causal,
                   double scale);
char *ct_copy(ct_tensor to, ct_tensor from);
char *ct_index_copy_rows(ct_tensor to, ct_tensor index, ct_tensor from);

/* optimizers */
char *ct_fused_adamw(ct_tensor *params, ct_tensor *grads, ct_tensor *m, ct_tensor *v, ct_tensor *steps, int n,
                     double lr, double beta1, double beta2, double decay, double eps, ct_tensor grad_scale,
                     ct_tensor found_inf);
char *ct_foreach_norm(ct_tensor *out, ct_tensor *list, int n);
char *ct_foreach_mul_scalar(ct_tensor *list, int n, double s);
char *ct_foreach_lerp(ct_tensor *list, ct_tensor *to, int n, double weight);
char *ct_amp_unscale(ct_tensor *grads, int n, ct_tensor found_inf, ct_tensor inv_scale);
char *ct_amp_update_scale(ct_tensor scale, ct_tensor growth_tracker, ct_tensor found_inf, double growth, double backoff,
                          int64_t interval);

/* GPUs: gpu.cpp */
char *ct_open_cuda(void); /* dlopen of the CUDA library; must come before any other question about CUDA */
int ct_cuda_devices(void);
void ct_use_gpus(int type, int n); /* type, a c10::DeviceType, takes the place of CUDA: for the stand-in of tests */
char *ct_allow_tf32(int on);               /* of products and convolutions in float32 on a GPU; off at first */
char *ct_synchronize(int device);
struct ct_gpu_use {
  int64_t free, total, used, peak, kept; /* bytes: of the GPU; in tensors, at most so far, kept for later ones */
};
char *ct_gpu_memory(int device, struct ct_gpu_use *m);
char *ct_gpu_release(void);
struct ct_gpu_properties {
  char name[128];
  int major, minor;                    /* of the compute capability */
  int driver, runtime, cudnn, nccl;    /* versions as NVIDIA writes them: 13000 for 13.0; 0 for none */
  unsigned peers;                      /* bit i: can reach the memory of GPU i */
};
char *ct_gpu_info(int device, struct ct_gpu_properties *p);
char *ct_topk_gpu(ct_tensor logits, double inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end,
                  int32_t *ids, float *logprobs);
char *ct_dropout_gpu(ct_tensor *out, ct_tensor x, double p);

/* what the library is */
const char *ct_version(void);
const char *ct_cpu_capability(void);

/* what the kernels may use of the processor: cpu.cpp */
int ct_isa_limit(const char *name); /* 0: no such name */
int ct_isa_has(const char *name);

/* memory of large tensors: allocator.cpp */
struct ct_memory {
  int64_t used, peak, kept,
      mapped; /* bytes in tensors, their peak, bytes kept for later ones, bytes of address space */
};
void ct_memory_install(void);
void ct_memory_release(void);
struct ct_memory ct_memory_now(void);

/* kernels: the other files */
char *ct_gelu(ct_tensor *out, ct_tensor x, int tanh);
char *ct_dropout_mask(ct_tensor *out, ct_tensor like, double p, uint64_t key);
char *ct_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias,
                int turns); /* turns: weight is [in, out] */
void ct_linear_onednn(int on); /* whether learning layers in float32 go to oneDNN, or to libtorch's BLAS */
int ct_linear_by_onednn(void);
char *ct_cross_entropy(ct_tensor *out, ct_tensor logits, ct_tensor target, int reduction, int64_t ignore,
                       double smoothing, double by); /* the logits are multiplied by by */
char *ct_residual(ct_tensor *sum, ct_tensor *y, ct_tensor x, ct_tensor h, ct_tensor weight, ct_tensor bias, double eps,
                  double p, uint64_t key, int half); /* half: y in bfloat16 */
char *ct_causal_attention(ct_tensor *out, ct_tensor qkv, ct_tensor starts, ct_tensor seen, int64_t length,
                          int64_t heads, double p, uint64_t key);
char *ct_cross_attention(ct_tensor *out, ct_tensor q, ct_tensor kv, const int64_t *starts, int64_t heads, double p,
                         uint64_t key);
char *ct_bottleneck(ct_tensor *out, ct_tensor x, ct_tensor widen, ct_tensor widen_bias, ct_tensor depth,
                    ct_tensor depth_bias, ct_tensor narrow, ct_tensor narrow_bias, int64_t stride, int skip,
                    int half); /* half: in bfloat16 */
char *ct_draw_tokens(ct_tensor logits, const int64_t *rows, const float *at, int n, double inverse_temperature,
                     int32_t *ids);
char *ct_zero_gradients(ct_tensor *out, ct_tensor t, ct_tensor *leaves, int n);
char *ct_step_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, double scale);
char *ct_step_attention_after(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor own_k, ct_tensor own_v,
                              double scale);
char *ct_topk_logprobs(ct_tensor logits, double inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end,
                       int32_t *ids, float *logprobs);

/* packed weights for inference on a CPU: onednn.cpp */
char *ct_pack_linear(ct_tensor *out, ct_tensor weight);
char *ct_packed_linear(ct_tensor *out, ct_tensor x, ct_tensor packed, ct_tensor bias, const char *activation);
char *ct_pack_conv2d(ct_tensor *out, ct_tensor weight, const int64_t *stride, const int64_t *padding,
                     const int64_t *dilation, int64_t groups, const int64_t *input, int dims);
char *ct_packed_conv2d(ct_tensor *out, ct_tensor x, ct_tensor packed, ct_tensor bias, const int64_t *stride,
                       const int64_t *padding, const int64_t *dilation, int64_t groups, const char *activation,
                       ct_tensor residual);

/* products with weights in panels: panels.cpp; dtype float32, bfloat16 or int8 is the kind of the weights */
int ct_panels_fast(int dtype);
void ct_panels_handover(int64_t rows); /* from so many rows on int8 products are oneDNN's, to the same bits; 0: never */
char *ct_panels_pack(void **out, ct_tensor weight, int dtype);
void ct_panels_free(void *panels);
char *ct_panels_product(ct_tensor *out, void *panels, ct_tensor x, ct_tensor norm_weight, ct_tensor norm_bias,
                        double eps, ct_tensor bias, int act, ct_tensor residual, int dtype);
char *ct_panels_topk(void *panels, ct_tensor x, ct_tensor norm_weight, ct_tensor norm_bias, double eps, int k,
                     const int32_t *ban, const int64_t *ban_end, int32_t *ids, float *logprobs);
char *ct_panels_attention(ct_tensor *out, ct_tensor qkv, int64_t heads, ct_tensor bias); /* bias may be NULL */
#ifdef __cplusplus
}
#endif
