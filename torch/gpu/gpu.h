/* What package torch asks of GPUs and package kernels does not have. As in kernels/bridge.h, handles are torch::Tensor*,
   and a function that can fail returns NULL or a malloc'ed one-line message. */
#pragma once
#include "../kernels/bridge.h"
#ifdef __cplusplus
extern "C" {
#endif

/* to a GPU, and what stands in the way: upload.cpp */
char *ct_upload(ct_tensor *out, void *data, size_t bytes, const int64_t *shape, int dims, int dtype, int device);
int ct_count_gpus(void); /* ct_cuda_devices without libtorch's warnings, which ct_no_gpu says shorter */
char *ct_no_gpu(void); /* asks NVIDIA's driver why libtorch finds no GPU: always a message */

/* work of a GPU that is recorded once and done again by one call: graph.cpp. The order: enter, work to make libraries
   ready, begin, the same work, end, leave; then replay. Between enter and leave work goes to a stream of its own. */
struct ct_graph_calls { /* what records on a stand-in */
  void *(*begin)(void);
  void (*end)(void *graph);
  void (*replay)(void *graph);
  void (*free)(void *graph);
};
void ct_use_graphs(const struct ct_graph_calls *calls);
char *ct_graph_ready(void); /* whether libtorch's CUDA library, opened before, has what it takes */
char *ct_graph_enter(int device);
char *ct_graph_leave(int device);
char *ct_graph_begin(void **graph, int device);
char *ct_graph_end(void *graph);
char *ct_graph_replay(void *graph);
char *ct_graph_free(void *graph);
#ifdef __cplusplus
}
#endif
