/* fastnst: neural style transfer on any processor, for programs in C and in whatever can call C.
 *
 * A model is loaded once, a style encoded once, and any number of contents are stylized in it:
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
 * and nothing has been changed but, perhaps, pixels of `out`. No C++ exception and no signal leaves the library; it prints
 * nothing.
 *
 * Threads: there is no state that calls share but the library's own worker threads, which calls take turns to use. A model or a
 * style may be used by any number of threads at once; only freeing it must wait until nobody uses it.
 *
 * Memory: what a function creates belongs to the caller, who hands it to the function whose name ends in `_free`. Strings and
 * numbers that are returned belong to the library.
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
  FASTNST_BAD_ARGUMENT = 1, /* an argument is out of range, missing, or of another model; or a budget is too small */
  FASTNST_BAD_MODEL = 2,    /* no model, a broken one, or one of a version that this library does not know */
  FASTNST_NO_MEMORY = 3,    /* the system has no more memory */
  FASTNST_STOPPED = 4,      /* a callback asked for it */
  FASTNST_FAILED = 5        /* a file cannot be read, a disk is full, FASTNST_ISA names what cannot run here */
} fastnst_status;

/* What the last call of this thread that failed has to say, in one line of at most 1023 bytes; "" if none has failed. Stays as
 * it is until the next call of this thread that fails. Never NULL. */
FASTNST_API const char* fastnst_error(void);

/* The version of the library that is loaded; FASTNST_VERSION is that of this header. */
FASTNST_API const char* fastnst_version(void);

/* The instruction set in use, such as "avx512vnni": the best one that the processor has, or the one that the environment
 * variable FASTNST_ISA names. NULL where that one cannot run here. */
FASTNST_API const char* fastnst_instruction_set(void);

/* ---- Models ---- */

typedef struct fastnst_model fastnst_model;

typedef enum fastnst_kind {
  FASTNST_ADAIN = 1,
  FASTNST_WCT = 2,
  FASTNST_GENERATOR = 3 /* translates pictures by itself: it takes no style */
} fastnst_kind;

/* Loads a model: a file, or its content of `size` bytes, which is not needed any more afterwards. `*model` is set on success
 * alone. Files are checked completely: a damaged or a hostile one is FASTNST_BAD_MODEL. */
FASTNST_API fastnst_status fastnst_model_open(const char* path, fastnst_model** model);
FASTNST_API fastnst_status fastnst_model_load(const void* data, size_t size, fastnst_model** model);

/* Frees a model; NULL is none. Styles that it encoded stay as they are. */
FASTNST_API void fastnst_model_free(fastnst_model* model);

FASTNST_API fastnst_kind fastnst_model_kind(const fastnst_model* model);

/* What the file says about itself: a JSON object in UTF-8. Lives as long as the model. */
FASTNST_API const char* fastnst_model_card(const fastnst_model* model);

/* How many levels a WCT model has, and where their numbers are, the deepest first; 0 for other models. `levels` may be NULL;
 * what it is set to lives as long as the model. */
FASTNST_API size_t fastnst_model_levels(const fastnst_model* model, const int** levels);

/* ---- Options ---- */

/* Begin with `fastnst_options options = FASTNST_OPTIONS;` and change what should be different. Wherever options are asked for,
 * NULL stands for FASTNST_OPTIONS. */
typedef struct fastnst_options {
  size_t size;         /* sizeof(fastnst_options), by which the library knows the header that the program was made with */
  double alpha;        /* 0 = the content, as the model reconstructs it; 1 = full style */
  double palette;      /* how far colours are moved to the style's, from 0 to 1, times alpha; none with preserve_color */
  int preserve_color;  /* not 0: the result has the colours of the content */
  int threads;         /* 1 to 1024, or 0 for as many as this process may use at once */
  const int* levels;   /* levels of a WCT model to run, in any order; NULL for all, and for other models */
  size_t level_count;  /* how many */
  uint64_t max_memory; /* bytes of working memory beside pictures of the caller's; larger pictures are done in tiles. 0: 12 for
                        * each pixel, at least 64 MiB, at most a quarter of what the machine or a control group has */
  const char* folder;  /* where tiles put aside what does not fit, in a file without a name; NULL: TMPDIR, or else /tmp */
} fastnst_options;

#define FASTNST_OPTIONS {sizeof(fastnst_options), 1.0, 1.0, 0, 0, NULL, 0, 0, NULL}

/* The bytes of working memory that a picture of this size takes when it is not done in tiles. */
FASTNST_API fastnst_status fastnst_working_bytes(const fastnst_model* model, const fastnst_options* options, int64_t height,
                                                 int64_t width, uint64_t* bytes);

/* ---- Styles ---- */

typedef struct fastnst_style fastnst_style;

/* What a model takes from a style, and the style's colours; of the options it heeds threads, levels, max_memory and folder.
 * `*style` is set on success alone. FASTNST_BAD_ARGUMENT for a generator. */
FASTNST_API fastnst_status fastnst_style_encode(const fastnst_model* model, const fastnst_options* options, const uint8_t* rgb,
                                                int64_t height, int64_t width, fastnst_style** style);

/* Mixes `count` styles of one model and the same levels, 1 or more, into a new one. `weights`: a number of at least 0 for each,
 * taken relative to their sum; NULL: equal parts. */
FASTNST_API fastnst_status fastnst_style_mix(size_t count, const fastnst_style* const* styles, const double* weights,
                                             fastnst_style** style);

FASTNST_API void fastnst_style_free(fastnst_style* style);

/* ---- Pictures in memory ---- */

/* The content in the style. `out`: as large as the content; they must not overlap. */
FASTNST_API fastnst_status fastnst_stylize(const fastnst_model* model, const fastnst_options* options,
                                           const fastnst_style* style, const uint8_t* rgb, int64_t height, int64_t width,
                                           uint8_t* out);

/* What a generator makes of a picture; of the options it heeds threads and preserve_color, and max_memory where that is not 0:
 * FASTNST_BAD_ARGUMENT if it takes more, for generators cannot be run in tiles. `out` as above. */
FASTNST_API fastnst_status fastnst_translate(const fastnst_model* model, const fastnst_options* options, const uint8_t* rgb,
                                             int64_t height, int64_t width, uint8_t* out);

/* ---- Pictures that do not fit into memory, row by row ---- */

/* A picture on its way through the library. The callbacks are called by the thread that called the library, one at a time, and
 * return 0 to go on; anything else ends the call with FASTNST_STOPPED. They must not throw or jump out. */
typedef struct fastnst_rows {
  int64_t height, width;
  /* Puts rows `first` to `first + count - 1` into `rgb`. Rows are asked for in ascending order; those of a style begin anew
   * from row 0 for each level of a WCT model. */
  int (*read)(void* context, int64_t first, int64_t count, uint8_t* rgb);
  /* Takes the next `count` rows of the result, which are gone when it returns. NULL for a style. */
  int (*write)(void* context, const uint8_t* rgb, int64_t count);
  /* Is told how far the content is, from 0 to 1. NULL: nobody wants to know. */
  int (*tell)(void* context, double part);
  void* context; /* handed to the callbacks */
} fastnst_rows;

/* As fastnst_style_encode and fastnst_stylize, always in as much memory as `max_memory` says: with the same result. */
FASTNST_API fastnst_status fastnst_style_encode_rows(const fastnst_model* model, const fastnst_options* options,
                                                     const fastnst_rows* picture, fastnst_style** style);
FASTNST_API fastnst_status fastnst_stylize_rows(const fastnst_model* model, const fastnst_options* options,
                                                const fastnst_style* style, const fastnst_rows* content);

#ifdef __cplusplus
}
#endif

#endif
