/* What libtch lacks or spoils, over libtorch's C++ API. Handles are torch::Tensor*, the same as libtch's.
   Every function that can fail returns NULL or a malloc'ed one-line message; nothing goes through a thread-local. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef void *tt;

/* data in and out */
char *ct_from_bytes(tt *o, const void *p, size_t bytes, const int64_t *shape, int n, int dtype);
char *ct_from_blob(tt *o, void *p, size_t bytes, const int64_t *shape, int n, int dtype);
char *ct_to_bytes(tt a, void *p, size_t bytes);
char *ct_storage(tt a, void **p, size_t *bytes);
char *ct_empty(tt *o, const int64_t *shape, int n, int dtype, int device);
char *ct_full(tt *o, const int64_t *shape, int n, double v, int dtype, int device);
char *ct_channels_last(tt *o, tt a);

/* modes; each getter and setter touches the calling thread only */
int ct_grad_enabled(void);
void ct_set_grad_enabled(int on);
void *ct_inference_begin(void);
void ct_inference_end(void *guard);
int ct_autocast_dtype(int cuda); /* -1 where autocast is off */
char *ct_autocast_begin(int cuda, int dtype);
char *ct_autocast_end(int cuda, int previous);

/* random numbers and threads */
char *ct_seed(uint64_t s);
char *ct_rng_state(tt *o);
char *ct_set_rng_state(tt a);
char *ct_set_threads(int n);
int ct_threads(void);
int ct_parallel_threads(void); /* how many threads a kernel of ours runs on */
char *ct_set_flush_denormal(int on);
char *ct_dropout_mask(tt *o, tt like, double p, uint64_t key);

/* autograd */
char *ct_backward(tt loss);
char *ct_requires_grad(tt a, int on);
char *ct_grad(tt *o, tt a); /* *o stays NULL where there is no gradient */
char *ct_clear_grad(tt a);

/* ops whose libtch form leaks, fails or does not exist */
char *ct_linear(tt *o, tt x, tt w, tt bias);
char *ct_gelu(tt *o, tt a, int tanh);
char *ct_sdpa(tt *o, tt q, tt k, tt v, tt mask, double p, int causal, double scale);
char *ct_copy_(tt dst, tt src);
char *ct_index_copy_rows_(tt dst, tt index, tt src);
char *ct_cross_entropy(tt *o, tt logits, tt target, int reduction, int64_t ignore, double smoothing);
char *ct_step_attention(tt *o, tt q, tt k, tt v, double scale);
char *ct_topk_logprobs(tt logits, double inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end,
                       int32_t *ids, float *logprobs);

/* packed weights for inference on CPU */
char *ct_pack_linear(tt *o, tt w);
char *ct_packed_linear(tt *o, tt x, tt packed, tt bias, const char *activation);
char *ct_pack_conv2d(tt *o, tt w, const int64_t *stride, const int64_t *pad, const int64_t *dilation, int64_t groups, const int64_t *input, int n);
char *ct_packed_conv2d(tt *o, tt x, tt packed, tt bias, const int64_t *stride, const int64_t *pad, const int64_t *dilation, int64_t groups,
                       const char *activation, tt residual);

/* products with our own kernels: panels.h; dtype float32, bfloat16 or int8 is the kind of the weights */
int ct_panels_fast(int dtype);
void ct_panels_plain(int on);
char *ct_panels_pack(void **o, tt weight, int dtype);
void ct_panels_free(void *panels);
char *ct_panels_product(tt *o, void *panels, tt x, tt norm_weight, tt norm_bias, double eps, tt bias, int act, tt residual, int dtype);
char *ct_panels_topk(void *panels, tt x, tt norm_weight, tt norm_bias, double eps, int k, const int32_t *ban, const int64_t *ban_end, int32_t *ids,
                     float *logprobs);
char *ct_panels_attention(tt *o, tt qkv, int64_t heads);

/* optimizers */
char *ct_fused_adamw(tt *params, tt *grads, tt *m, tt *v, tt *steps, int n, double lr, double beta1, double beta2, double decay, double eps,
                     tt grad_scale, tt found_inf);
char *ct_foreach_norm(tt *o, tt *ts, int n);
char *ct_foreach_mul_scalar(tt *ts, int n, double s);
char *ct_foreach_lerp(tt *ts, tt *to, int n, double w);
char *ct_foreach_copy(tt *dst, tt *src, int n);
char *ct_amp_unscale(tt *grads, int n, tt found_inf, tt inv_scale);
char *ct_amp_update_scale(tt scale, tt growth_tracker, tt found_inf, double growth, double backoff, int64_t interval);

/* what the library is */
const char *ct_version(void);
const char *ct_cpu_capability(void);
char *ct_open_cuda(void); /* dlopen of the CUDA library; must come before any other question about CUDA */
int ct_cuda_devices(void);
#ifdef __cplusplus
}
#endif
