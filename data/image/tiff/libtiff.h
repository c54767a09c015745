#ifndef CAPTIONER_LIBTIFF_H
#define CAPTIONER_LIBTIFF_H
#include <stddef.h>
#include <stdint.h>

enum { FAILED_OPEN = 1, FAILED_CODEC, FAILED_DATA, FAILED_END };

/* What the first directory of a file says, and what the last call on it found: message is set where failed is. */
typedef struct {
	uint32_t width, height;
	uint32_t block_width, block_height; /* of a tile, or of a strip */
	uint64_t block_bytes;               /* decoded */
	uint16_t photometric, compression, planar, bits, samples, format, extras;
	uint16_t extra[8];
	int tiled;
	int as_rgba; /* only captioner_tiff_rgba reads it: YCbCr whose samples are packed in groups */
	uint8_t palette[3 * 256];
	int failed;
	char message[224];
} tiff_info;

typedef struct tiff_reader tiff_reader;

/* Opens the n bytes at data, which must stay in place until the reader is closed. NULL where info says failed. */
tiff_reader *captioner_tiff_open(tiff_info *info, const uint8_t *data, size_t n, size_t max_alloc);
/* Decodes the strip or tile that holds the sample (x, y) of a plane to out; rows that the file lacks stay as they are. */
void captioner_tiff_block(tiff_reader *t, uint32_t x, uint32_t y, uint16_t plane, uint8_t *out, size_t n);
/* Decodes the whole image to width * height pixels of R, G, B, A. */
void captioner_tiff_rgba(tiff_reader *t, uint8_t *out);
void captioner_tiff_close(tiff_reader *t);
#endif
