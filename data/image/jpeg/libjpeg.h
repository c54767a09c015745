#ifndef CAPTIONER_LIBJPEG_H
#define CAPTIONER_LIBJPEG_H
#include <stddef.h>

/* What one call found. message is set where failed is. */
typedef struct {
	int width, height, components;
	int truncated;
	int unsupported; /* the failure is that libjpeg does not read such files */
	int failed;
	char message[224];
} result;

void captioner_jpeg_header(result *r, const unsigned char *data, size_t size);
void captioner_jpeg_decode(result *r, const unsigned char *data, size_t size, unsigned char *out,
                           int width, int height, int allow_truncated, int max_scans);
#endif
