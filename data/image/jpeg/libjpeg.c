//go:build cgo && !nolibjpeg

/* libjpeg reports errors by a callback that must not return, so each entry
 * point is one C function with its own setjmp: no Go frame is ever jumped over. */
#include "libjpeg.h"

#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

typedef struct {
	struct jpeg_error_mgr base; /* first: libjpeg hands back a pointer to it */
	struct jpeg_progress_mgr progress;
	jmp_buf escape;
	result *r;
	int max_scans;
} session;

static void refuse(session *s, const char *message)
{
	s->r->failed = 1;
	snprintf(s->r->message, sizeof s->r->message, "%s", message);
	longjmp(s->escape, 1);
}

static void fatal(j_common_ptr c)
{
	session *s = (session *)c->err;
	char text[JMSG_LENGTH_MAX];
	c->err->format_message(c, text);
	switch (c->err->msg_code) {
	case JERR_ARITH_NOTIMPL: case JERR_BAD_PRECISION: case JERR_CCIR601_NOTIMPL: case JERR_COMPONENT_COUNT:
	case JERR_CONVERSION_NOTIMPL: case JERR_FRACT_SAMPLE_NOTIMPL: case JERR_NOT_COMPILED: case JERR_NOTIMPL:
	case JERR_SOF_UNSUPPORTED:
		s->r->unsupported = 1;
	}
	refuse(s, text);
}

/* Warnings are counted, never printed; the only one that matters is the end of the data. */
static void message(j_common_ptr c, int level)
{
	session *s = (session *)c->err;
	if (level < 0 && c->err->msg_code == JWRN_JPEG_EOF) s->r->truncated = 1;
}

static void silent(j_common_ptr c) { (void)c; }

static void progress(j_common_ptr c)
{
	session *s = (session *)c->err;
	if (c->is_decompressor && ((j_decompress_ptr)c)->input_scan_number > s->max_scans)
		refuse(s, "too many scans");
}

static void begin(session *s, struct jpeg_decompress_struct *d, result *r)
{
	memset(r, 0, sizeof *r);
	memset(d, 0, sizeof *d);
	s->r = r;
	d->err = jpeg_std_error(&s->base);
	s->base.error_exit = fatal;
	s->base.emit_message = message;
	s->base.output_message = silent;
}

static void read_header(session *s, struct jpeg_decompress_struct *d, const unsigned char *data, size_t size)
{
	jpeg_create_decompress(d);
	jpeg_mem_src(d, data, size);
	jpeg_read_header(d, TRUE);
	s->r->width = d->image_width;
	s->r->height = d->image_height;
	s->r->components = d->num_components;
	if (d->num_components != 1 && d->num_components != 3 && d->num_components != 4) {
		s->r->unsupported = 1;
		refuse(s, "color components are neither 1, 3 nor 4");
	}
}

void captioner_jpeg_header(result *r, const unsigned char *data, size_t size)
{
	session s;
	struct jpeg_decompress_struct d;
	begin(&s, &d, r);
	if (setjmp(s.escape) == 0) read_header(&s, &d, data, size);
	jpeg_destroy_decompress(&d);
}

void captioner_jpeg_decode(result *r, const unsigned char *data, size_t size, unsigned char *out,
                           int width, int height, int allow_truncated, int max_scans)
{
	session s;
	struct jpeg_decompress_struct d;
	begin(&s, &d, r);
	if (setjmp(s.escape) == 0) {
		read_header(&s, &d, data, size);
		if (r->width != width || r->height != height) refuse(&s, "size changed while reading");
		s.max_scans = max_scans;
		s.progress.progress_monitor = progress;
		d.progress = &s.progress;
		d.dct_method = JDCT_ISLOW;
		d.do_fancy_upsampling = TRUE;
		d.out_color_space = r->components == 4 ? JCS_CMYK : JCS_EXT_RGB;
		size_t stride = (size_t)width * (r->components == 4 ? 4 : 3);
		jpeg_start_decompress(&d);
		while (d.output_scanline < d.output_height && (allow_truncated || !r->truncated)) {
			JSAMPROW rows[16];
			int n = 0;
			for (JDIMENSION y = d.output_scanline; n < 16 && y + n < d.output_height; n++)
				rows[n] = out + stride * (y + n);
			jpeg_read_scanlines(&d, rows, n);
		}
	}
	/* The end marker is not waited for: a picture whose rows are all there is complete. */
	jpeg_destroy_decompress(&d);
}
