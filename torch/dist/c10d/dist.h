/* Process groups over libtorch's c10d. Tensors are torch::Tensor*. Every function that can fail returns NULL or a
   malloc'ed message. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* A key-value store over TCP: one process listens, all connect. Calls on one store queue; different stores do not wait
   for each other. */
char *cd_store_open(void **o, const char *host, int *port, int serve, const char *prefix, int timeout_ms);
void cd_store_close(void *s);
char *cd_store_set(void *s, const char *key, const void *value, size_t n);
/* never waits: *value is NULL where there is none, else malloc'ed */
char *cd_store_get(void *s, const char *key, void **value, size_t *n);
char *cd_store_first(void *s, const char *key, const void *value, size_t n); /* sets it unless it has a value already */

/* A process group over a store. */
char *cd_group_open(void **o, void *store, int rank, int size, const char *interface, const char *host, int timeout_ms);
void cd_group_close(void *g);
/* from now on tensors on this GPU travel by NCCL; without it they travel through the host */
char *cd_nccl(void *g, int device);
char *cd_allreduce(void *g, void **ts, int n);
char *cd_broadcast(void *g, void **ts, int n, int root);
char *cd_sum(void *g, double *v, int64_t n);
char *cd_allgather(void *g, const void *p, int64_t bytes, void *out); /* size * bytes, by rank */

/* Sums of gradients, bucket by bucket, while backward goes on. */
char *cd_buckets_open(void **o, void *g, void **params, int n, int64_t bytes);
void cd_buckets_close(void *b);
int cd_buckets_count(void *b);
char *cd_buckets_begin(void *b);
char *cd_buckets_finish(void *b, int *early); /* *early: buckets that were on their way before backward ended */
#ifdef __cplusplus
}
#endif
