#ifndef CAPTIONER_PASSES_H
#define CAPTIONER_PASSES_H
#include <stddef.h>

int captioner_has_avx2(void);

/* Scales each of the rows of src, row_len bytes each, to out_w pixels. Output i
 * starts at pixel first[i] and takes groups[i] times four weights. */
void captioner_rows(unsigned char *dst, const unsigned char *src, int rows, ptrdiff_t row_len, int out_w,
                    const int *first, const int *weight, const int *groups, int stride);

/* Makes out_h rows of row_len bytes; row i sums count[i] rows from first[i] on. */
void captioner_columns(unsigned char *dst, const unsigned char *src, int out_h, ptrdiff_t row_len,
                       const int *first, const int *count, const int *weight, int stride);
#endif
