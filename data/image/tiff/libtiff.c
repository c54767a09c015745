//go:build cgo && !nolibtiff

/* libtiff over bytes in memory: it cannot write, sees nothing beyond the bytes, and says nothing on stderr. */
#include "libtiff.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

/* From 4.5.0 on the limit and the handlers belong to one open file; before, the handlers are global and say nothing. */
#define HAS_OPTIONS (TIFFLIB_VERSION >= 20221213)

struct tiff_reader {
	TIFF *tiff;
	tiff_info *info;
	const uint8_t *data;
	uint64_t size, at;
};

static tmsize_t read_bytes(thandle_t h, void *to, tmsize_t n)
{
	tiff_reader *t = (tiff_reader *)h;
	uint64_t left = t->at < t->size ? t->size - t->at : 0;
	if (n < 0) return -1;
	if ((uint64_t)n > left) n = (tmsize_t)left;
	memcpy(to, t->data + (n > 0 ? t->at : 0), (size_t)n);
	t->at += (uint64_t)n;
	return n;
}

static tmsize_t write_bytes(thandle_t h, void *from, tmsize_t n) { (void)h, (void)from, (void)n; return -1; }

static toff_t seek(thandle_t h, toff_t to, int whence)
{
	tiff_reader *t = (tiff_reader *)h;
	uint64_t base = whence == SEEK_CUR ? t->at : whence == SEEK_END ? t->size : 0;
	t->at = base + to;
	return t->at;
}

static toff_t size_of(thandle_t h) { return ((tiff_reader *)h)->size; }
static int close_nothing(thandle_t h) { (void)h; return 0; }

static int map(thandle_t h, void **base, toff_t *size)
{
	tiff_reader *t = (tiff_reader *)h;
	*base = (void *)t->data;
	*size = t->size;
	return 1;
}

static void unmap(thandle_t h, void *base, toff_t size) { (void)h, (void)base, (void)size; }

/* The first message tells why; those that follow tell what followed. */
static void note(tiff_info *info, const char *format, va_list args)
{
	if (info->message[0] == 0) vsnprintf(info->message, sizeof info->message, format, args);
}

static void fail(tiff_info *info, int how)
{
	info->failed = how;
	if (info->message[0] == 0) snprintf(info->message, sizeof info->message, "libtiff cannot read it");
}

#if HAS_OPTIONS
static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
	(void)tiff, (void)module;
	note((tiff_info *)user, format, args);
	return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
	(void)tiff, (void)user, (void)module, (void)format, (void)args;
	return 1;
}

static TIFF *open_silently(tiff_reader *t, size_t max_alloc)
{
	TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
	if (o == NULL) return NULL;
	TIFFOpenOptionsSetMaxSingleMemAlloc(o, (tmsize_t)max_alloc);
	TIFFOpenOptionsSetErrorHandlerExtR(o, on_error, t->info);
	TIFFOpenOptionsSetWarningHandlerExtR(o, on_warning, NULL);
	TIFF *tiff = TIFFClientOpenExt("image", "r", (thandle_t)t, read_bytes, write_bytes, seek, close_nothing,
	                               size_of, map, unmap, o);
	TIFFOpenOptionsFree(o);
	return tiff;
}
#else
static TIFF *open_silently(tiff_reader *t, size_t max_alloc)
{
	(void)max_alloc;
	TIFFSetErrorHandler(NULL);
	TIFFSetWarningHandler(NULL);
	return TIFFClientOpen("image", "r", (thandle_t)t, read_bytes, write_bytes, seek, close_nothing,
	                      size_of, map, unmap);
}
#endif

static void read_palette(TIFF *tiff, tiff_info *info)
{
	uint16_t *red, *green, *blue;
	if (info->bits > 8 || !TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue)) return;
	for (int i = 0; i < 1 << info->bits; i++) {
		info->palette[3 * i] = red[i] >> 8;
		info->palette[3 * i + 1] = green[i] >> 8;
		info->palette[3 * i + 2] = blue[i] >> 8;
	}
}

/* YCbCr samples may be packed in groups, which only libtiff's own RGBA takes apart. With JPEG, libjpeg converts
 * them; without compression and groups they are as plain as RGB, and left to the caller. */
static void choose_reader(TIFF *tiff, tiff_info *info)
{
	uint16_t across = 1, down = 1;
	if (info->photometric != PHOTOMETRIC_YCBCR || info->samples < 3) return;
	if (info->compression == COMPRESSION_JPEG && info->planar == PLANARCONFIG_CONTIG) {
		TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
		info->photometric = PHOTOMETRIC_RGB;
		return;
	}
	TIFFGetFieldDefaulted(tiff, TIFFTAG_YCBCRSUBSAMPLING, &across, &down);
	info->as_rgba = info->compression != COMPRESSION_NONE || across != 1 || down != 1;
}

static void read_info(TIFF *tiff, tiff_info *info)
{
	uint16_t *extra = NULL;
	TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &info->width);
	TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &info->height);
	TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &info->photometric);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &info->compression);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &info->planar);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &info->bits);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &info->samples);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &info->format);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &info->extras, &extra);
	for (int i = 0; i < info->extras && i < 8; i++) info->extra[i] = extra[i];
	read_palette(tiff, info);
	choose_reader(tiff, info);
	info->tiled = TIFFIsTiled(tiff);
	if (info->tiled) {
		TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &info->block_width);
		TIFFGetField(tiff, TIFFTAG_TILELENGTH, &info->block_height);
		info->block_bytes = TIFFTileSize64(tiff);
		return;
	}
	info->block_width = info->width;
	TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &info->block_height);
	if (info->block_height > info->height) info->block_height = info->height;
	info->block_bytes = TIFFStripSize64(tiff);
}

tiff_reader *captioner_tiff_open(tiff_info *info, const uint8_t *data, size_t n, size_t max_alloc)
{
	memset(info, 0, sizeof *info);
	tiff_reader *t = calloc(1, sizeof *t);
	if (t == NULL) {
		fail(info, FAILED_OPEN);
		return NULL;
	}
	t->info = info;
	t->data = data;
	t->size = n;
	t->tiff = open_silently(t, max_alloc);
	if (t->tiff == NULL) {
		fail(info, FAILED_OPEN);
		free(t);
		return NULL;
	}
	read_info(t->tiff, info);
	info->message[0] = 0; /* what libtiff got past */
	if (!TIFFIsCODECConfigured(info->compression)) {
		snprintf(info->message, sizeof info->message, "compression %d", info->compression);
		fail(info, FAILED_CODEC);
		captioner_tiff_close(t);
		return NULL;
	}
	return t;
}

void captioner_tiff_block(tiff_reader *t, uint32_t x, uint32_t y, uint16_t plane, uint8_t *out, size_t n)
{
	uint32_t i = t->info->tiled ? TIFFComputeTile(t->tiff, x, y, 0, plane) : TIFFComputeStrip(t->tiff, y, plane);
	tmsize_t got = t->info->tiled ? TIFFReadEncodedTile(t->tiff, i, out, (tmsize_t)n)
	                              : TIFFReadEncodedStrip(t->tiff, i, out, (tmsize_t)n);
	if (got >= 0) return;
	uint64_t at = TIFFGetStrileOffset(t->tiff, i), length = TIFFGetStrileByteCount(t->tiff, i);
	fail(t->info, at > t->size || length > t->size - at ? FAILED_END : FAILED_DATA);
}

void captioner_tiff_rgba(tiff_reader *t, uint8_t *out)
{
	TIFFRGBAImage image;
	char why[1024] = "";
	if (!TIFFRGBAImageOK(t->tiff, why) || !TIFFRGBAImageBegin(&image, t->tiff, 1, why)) {
		snprintf(t->info->message, sizeof t->info->message, "%s", why);
		fail(t->info, FAILED_CODEC);
		return;
	}
	image.req_orientation = image.orientation; /* as it is stored: the caller turns it */
	if (!TIFFRGBAImageGet(&image, (uint32_t *)out, image.width, image.height)) fail(t->info, FAILED_DATA);
	TIFFRGBAImageEnd(&image);
}

void captioner_tiff_close(tiff_reader *t)
{
	if (t == NULL) return;
	TIFFClose(t->tiff);
	free(t);
}
