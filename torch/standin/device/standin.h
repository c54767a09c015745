//go:build standin

/* The stand-in's doors to Go. A function that can fail returns NULL or a malloc'ed message. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
struct si_crossings {
  int64_t uploads, downloads, items, waits, peers; /* see Crossings in standin.go */
  int64_t upload_bytes, download_bytes, ops;
};
int si_install(int devices); /* registers the backend; returns the number of its c10::DeviceType */
struct si_crossings si_crossed(void);
void si_limit(int device, size_t bytes); /* 0 for none */
size_t si_used(int device);
size_t si_peak(int device);
const void *si_graphs(void);     /* a struct ct_graph_calls of torch/gpu/gpu.h: records and repeats operators */
void si_trace(int on);           /* prints each crossing on standard error */
int si_peek(void *tensor_handle); /* reads a byte through the data pointer: dies on a device's tensor */
#ifdef __cplusplus
}
#endif
