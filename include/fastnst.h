/* fastnst: neural style transfer on any processor, for programs in C and in every language that can call C.
 *
 * Load a model once, encode a style once, and stylize any number of contents in it:
 *
 *   fastnst_model* model;
 *   fastnst_style* style;
 *   fastnst_options options = FASTNST_OPTIONS;
 *   fastnst_status status = fastnst_model_open("adain-16x.fnst", &model);
 *   if (status == FASTNST_OK) status = fastnst_style_encode(model, &options, style_rgb, style_height, style_width, &style);
 *   if (status == FASTNST_OK) status = fastnst_stylize(model, &options, style, rgb, height, width, out);
 *   if (status != FASTNST_OK) fprintf(stderr, "%s\n", fastnst_error());
 *
 * Pictures are 8-bit sRGB: height x width x 3 bytes, rows from top to bottom without gaps, of any size from 1 x 1. The same
 * model, style, content and options give the same bytes on every processor, with any number of threads, in tiles or not.
 *
 * Errors: functions that can fail return a status. If it is not FASTNST_OK, fastnst_error() says in one line what was wrong,
 * and nothing has changed, except perhaps the pixels of `out`. The library throws no C++ exceptions, raises no signals and
 * prints nothing.
 *
 * Threads: calls share no state except the library's worker threads, which serve one call at a time. Any number of threads may
 * use a model or a style at once; free it only when none of them uses it any more.
 *
 * Memory: objects that a function creates belong to the caller, who frees them with the function whose name ends in `_free`.
 * Strings and arrays that are returned belong to the library.
 */
#ifndef FASTNST_H
#define FASTNST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FASTNST_API __attribute__((visibility("default")))
#else
#define FASTNST_API
#endif

#define FASTNST_VERSION "0.1.0"

typedef enum fastnst_status {
  FASTNST_OK = 0,
  FASTNST_BAD_ARGUMENT = 1, /* an argument is out of range, missing, or of another model; or max_memory is too small */
  FASTNST_BAD_MODEL = 2,    /* not a model, a damaged one, or one of a version that this library does not know */
  FASTNST_NO_MEMORY = 3,    /* the system has no more memory */
  FASTNST_STOPPED = 4,      /* a callback ended the call */
  FASTNST_FAILED = 5        /* a file cannot be read, a disk is full, FASTNST_ISA names a set that cannot run here */
} fastnst_status;

/* The message of the last call that failed in this thread, one line of at most 1023 bytes; "" if none has failed. It is valid
 * until the next call fails in this thread. Never NULL. */
FASTNST_API const char* fastnst_error(void);

/* The version of the library that is loaded; FASTNST_VERSION is that of this header. */
FASTNST_API const char* fastnst_version(void);

/* The instruction set in use, such as "avx512vnni": the best one that the processor has, or the one that the environment
 * variable FASTNST_ISA names. NULL if that one cannot run here. */
FASTNST_API const char* fastnst_instruction_set(void);

/* ---- Models ---- */

typedef struct fastnst_model fastnst_model;

typedef enum fastnst_kind {
  FASTNST_ADAIN = 1,
  FASTNST_WCT = 2,
  FASTNST_GENERATOR = 3 /* translates pictures by itself: it takes no style */
} fastnst_kind;

/* Load a model from a file, or from the `size` bytes of its content, which may be freed afterwards. `*model` is set only on
 * success. Files are checked completely: a damaged or hostile one gives FASTNST_BAD_MODEL. */
FASTNST_API fastnst_status fastnst_model_open(const char* path, fastnst_model** model);
FASTNST_API fastnst_status fastnst_model_load(const void* data, size_t size, fastnst_model** model);

/* Frees a model; NULL is allowed. Styles that it encoded stay valid. */
FASTNST_API void fastnst_model_free(fastnst_model* model);

FASTNST_API fastnst_kind fastnst_model_kind(const fastnst_model* model);

/* The card of the model, a JSON object in UTF-8 that describes it. It is valid as long as the model. */
FASTNST_API const char* fastnst_model_card(const fastnst_model* model);

/* The number of levels of a WCT model, 0 for other models. `*levels` is set to their numbers, the deepest first, which are
 * valid as long as the model; `levels` may be NULL. */
FASTNST_API size_t fastnst_model_levels(const fastnst_model* model, const int** levels);

/* How many styles of its own a generator has, to choose and mix; 0 of one with a single look, and of other models. */
FASTNST_API size_t fastnst_model_styles(const fastnst_model* model);

/* ---- Options ---- */

typedef struct fastnst_style fastnst_style;

/* Where in the content something holds: a grey picture of at most 4096 x 4096 pixels, 0 = nowhere, 255 = entirely, rows from
 * top to bottom without gaps. It is stretched over the whole content. */
typedef struct fastnst_mask {
  int64_t height, width;
  const uint8_t* values;
} fastnst_mask;

/* A part of the content that has a style of its own. Where masks overlap, the styles share. */
typedef struct fastnst_region {
  fastnst_mask mask;
  const fastnst_style* style;
} fastnst_region;

/* Whose colours the result has. */
typedef enum fastnst_colors {
  FASTNST_PALETTE = 0,  /* those of the style, as far as `palette` says */
  FASTNST_LUMA = 1,     /* the content's, with the luma of the result (ITU-R BT.601) */
  FASTNST_LAB = 2,      /* the content's, with the lightness of the result (CIE 1976 L*a*b*) */
  FASTNST_MATCH = 3,    /* the result's, with the mean and covariance of the content's */
  FASTNST_HISTOGRAM = 4 /* the result's, with the histograms of the content's */
} fastnst_colors;

/* Begin with `fastnst_options options = FASTNST_OPTIONS;` and change what should be different. A function that takes options
 * takes NULL for FASTNST_OPTIONS. Programs that were compiled with an older header, which has fewer options, go on as before.
 */
typedef struct fastnst_options {
  size_t size;         /* sizeof(fastnst_options); it tells the library which header the program was compiled with */
  double alpha;        /* 0 = the content, as the model reconstructs it; 1 = full style */
  double palette;      /* how far colours are moved to the style's, 0 to 1, times alpha; unused with preserve_color */
  int preserve_color;  /* one of fastnst_colors */
  int threads;         /* 1 to 1024, or 0 for as many as this process may run at once */
  const int* levels;   /* the levels of a WCT model to run, in any order; NULL for all, and for other models */
  size_t level_count;  /* the number of `levels` */
  uint64_t max_memory; /* limit of working memory in bytes, without the caller's pictures; larger pictures are done in tiles.
                        * 0: 12 bytes for each pixel, of a generator 256, at least 64 MiB, at most a quarter of the
                        * machine's or a control group's memory */
  const char* folder;  /* for the unnamed temporary files of pictures done in tiles; NULL: TMPDIR, or else /tmp */
  const fastnst_region* regions; /* at most 64 */
  size_t region_count;           /* the number of `regions` */
  const fastnst_mask* alpha_map; /* how strong the style is by place, times alpha; NULL: the same everywhere */
  const double* style_weights;   /* one for each of a generator's own styles, at least 0, relative to their sum; NULL: the
                                  * first style alone */
  size_t style_weight_count;     /* the number of `style_weights` */
} fastnst_options;

#define FASTNST_OPTIONS {sizeof(fastnst_options), 1.0, 1.0, 0, 0, NULL, 0, 0, NULL, NULL, 0, NULL, NULL, 0}

/* The bytes of working memory that a picture of this size takes when it is not done in tiles. */
FASTNST_API fastnst_status fastnst_working_bytes(const fastnst_model* model, const fastnst_options* options, int64_t height,
                                                 int64_t width, uint64_t* bytes);

/* ---- Styles ---- */

/* Encodes a style: its statistics for this model, and its colours. Of the options it uses threads, levels, max_memory and
 * folder. `*style` is set only on success. FASTNST_BAD_ARGUMENT for a generator. */
FASTNST_API fastnst_status fastnst_style_encode(const fastnst_model* model, const fastnst_options* options, const uint8_t* rgb,
                                                int64_t height, int64_t width, fastnst_style** style);

/* Mixes `count` styles (1 or more) of one model and the same levels into a new one. `weights`: one number for each style, at
 * least 0, relative to their sum; NULL for equal weights. */
FASTNST_API fastnst_status fastnst_style_mix(size_t count, const fastnst_style* const* styles, const double* weights,
                                             fastnst_style** style);

FASTNST_API void fastnst_style_free(fastnst_style* style);

/* ---- Pictures in memory ---- */

/* Stylizes a content. What no region covers takes `style`; with regions that may be NULL, and then it stays as it is. `out` has
 * the size of the content, and must not overlap it. */
FASTNST_API fastnst_status fastnst_stylize(const fastnst_model* model, const fastnst_options* options,
                                           const fastnst_style* style, const uint8_t* rgb, int64_t height, int64_t width,
                                           uint8_t* out);

/* Runs a generator on a picture. Of the options it uses threads, preserve_color, style_weights, max_memory and folder;
 * FASTNST_BAD_ARGUMENT with regions or an alpha map. `out` as above. */
FASTNST_API fastnst_status fastnst_translate(const fastnst_model* model, const fastnst_options* options, const uint8_t* rgb,
                                             int64_t height, int64_t width, uint8_t* out);

/* ---- Pictures that do not fit into memory, row by row ---- */

/* A picture that is read and written by callbacks. The thread that called the library calls them, one at a time. They return 0
 * to continue; any other number ends the call with FASTNST_STOPPED. They must not throw or jump out. */
typedef struct fastnst_rows {
  int64_t height, width;
  /* Writes rows `first` to `first + count - 1` to `rgb`. Rows are read in ascending order; those of a style once more from row
   * 0 for each level of a WCT model. */
  int (*read)(void* context, int64_t first, int64_t count, uint8_t* rgb);
  /* Receives the next `count` rows of the result, which are valid until it returns. NULL for a style. */
  int (*write)(void* context, const uint8_t* rgb, int64_t count);
  /* Receives the progress of the content, from 0 to 1. May be NULL. */
  int (*tell)(void* context, double part);
  void* context; /* passed to the callbacks */
} fastnst_rows;

/* Like fastnst_style_encode, fastnst_stylize and fastnst_translate, with the same results, but always within max_memory. */
FASTNST_API fastnst_status fastnst_style_encode_rows(const fastnst_model* model, const fastnst_options* options,
                                                     const fastnst_rows* picture, fastnst_style** style);
FASTNST_API fastnst_status fastnst_stylize_rows(const fastnst_model* model, const fastnst_options* options,
                                                const fastnst_style* style, const fastnst_rows* content);
FASTNST_API fastnst_status fastnst_translate_rows(const fastnst_model* model, const fastnst_options* options,
                                                  const fastnst_rows* content);

#ifdef __cplusplus
}
#endif

#endif
