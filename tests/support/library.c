/* A program of the C interface: uses all of it, checks what it answers, and leaves pictures for the test to compare.
 *
 * library ADAIN.fnst WCT.fnst GENERATOR.fnst STYLED.fnst CONTENT STYLE OTHER FOLDER; a picture is "height width\n" and its pixels. */
#include <fastnst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(right) check(right, #right, __LINE__)

static void check(int right, const char* what, int line) {
  if (right) return;
  fprintf(stderr, "line %d: %s\n  fastnst_error: %s\n", line, what, fastnst_error());
  exit(1);
}

typedef struct {
  long long height, width;
  unsigned char* rgb;
} picture;

static picture read_picture(const char* path) {
  picture image = {0, 0, NULL};
  FILE* file = fopen(path, "rb");
  CHECK(file != NULL);
  CHECK(fscanf(file, "%lld %lld", &image.height, &image.width) == 2 && fgetc(file) == '\n');
  const size_t size = (size_t)(image.height * image.width * 3);
  image.rgb = malloc(size);
  CHECK(image.rgb != NULL && fread(image.rgb, 1, size, file) == size);
  fclose(file);
  return image;
}

static void write_picture(const char* folder, const char* name, const unsigned char* rgb, picture size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE* file = fopen(path, "wb");
  CHECK(file != NULL);
  fwrite(rgb, 1, (size_t)(size.height * size.width * 3), file);
  CHECK(fclose(file) == 0);
}

static int says(const char* words) { return strstr(fastnst_error(), words) != NULL; }

/* A picture in memory as rows; stops after so many calls, if that is not 0. */
typedef struct {
  picture from;
  unsigned char* out;
  int calls, stop_after;
  double part;
} rows_state;

static int read_rows(void* context, int64_t first, int64_t count, uint8_t* rgb) {
  rows_state* state = context;
  const size_t row = (size_t)(state->from.width * 3);
  memcpy(rgb, state->from.rgb + (size_t)first * row, (size_t)count * row);
  return ++state->calls == state->stop_after;
}

static int write_rows(void* context, const uint8_t* rgb, int64_t count) {
  rows_state* state = context;
  const size_t bytes = (size_t)(count * state->from.width * 3);
  memcpy(state->out, rgb, bytes);
  state->out += bytes;
  return 0;
}

static int tell(void* context, double part) {
  rows_state* state = context;
  CHECK(part >= state->part && part <= 1);
  state->part = part;
  return 0;
}

static void wrong_arguments(const fastnst_model* model, const fastnst_style* style, const fastnst_model* generator,
                            picture content, unsigned char* out) {
  fastnst_model* none = NULL;
  fastnst_style* no_style = NULL;
  uint64_t bytes = 0;
  CHECK(fastnst_model_open("absent.fnst", &none) == FASTNST_FAILED && says("absent.fnst: No such file"));
  CHECK(fastnst_model_open("/", &none) == FASTNST_FAILED && says("/: Is a directory"));
  CHECK(fastnst_model_open(NULL, &none) == FASTNST_BAD_ARGUMENT && says("path is NULL"));
  CHECK(fastnst_model_open("absent.fnst", NULL) == FASTNST_BAD_ARGUMENT);
  CHECK(fastnst_model_load("no model at all", 15, &none) == FASTNST_BAD_MODEL && says("not a fastnst model"));
  CHECK(fastnst_model_load(NULL, 0, &none) == FASTNST_BAD_ARGUMENT && none == NULL);

  fastnst_options options = FASTNST_OPTIONS;
#define STYLIZE fastnst_stylize(model, &options, style, content.rgb, content.height, content.width, out)
#define REFUSED(field, value, words)        \
  do {                                      \
    const fastnst_options sound = options;  \
    options.field = value;                  \
    CHECK(STYLIZE == FASTNST_BAD_ARGUMENT); \
    CHECK(says(words));                     \
    options = sound;                        \
  } while (0)
  const int five[] = {5};
  REFUSED(size, 8, "FASTNST_OPTIONS");
  REFUSED(alpha, 1.5, "alpha");
  REFUSED(alpha, -0.1, "alpha");
  REFUSED(palette, 2, "palette");
  REFUSED(threads, -1, "threads");
  REFUSED(threads, 1025, "threads");
  REFUSED(max_memory, 1000, "takes at least");
  options.levels = five, options.level_count = 1;
  CHECK(STYLIZE == FASTNST_BAD_ARGUMENT && says("levels are WCT's to choose"));
  options.levels = NULL;
  CHECK(fastnst_stylize(model, NULL, style, content.rgb, 0, 5, out) == FASTNST_BAD_ARGUMENT && says("0 x 5"));
  CHECK(fastnst_stylize(model, NULL, style, content.rgb, 5, -1, out) == FASTNST_BAD_ARGUMENT);
  CHECK(fastnst_stylize(NULL, NULL, style, content.rgb, 5, 5, out) == FASTNST_BAD_ARGUMENT && says("model is NULL"));
  CHECK(fastnst_stylize(model, NULL, NULL, content.rgb, 5, 5, out) == FASTNST_BAD_ARGUMENT && says("style is NULL"));
  CHECK(fastnst_stylize(model, NULL, style, NULL, 5, 5, out) == FASTNST_BAD_ARGUMENT && says("content is NULL"));
  CHECK(fastnst_stylize(model, NULL, style, content.rgb, 5, 5, NULL) == FASTNST_BAD_ARGUMENT);
  CHECK(fastnst_stylize_rows(model, NULL, style, NULL) == FASTNST_BAD_ARGUMENT);
  CHECK(fastnst_translate(model, NULL, content.rgb, 5, 5, out) == FASTNST_BAD_ARGUMENT && says("needs a style"));
  CHECK(fastnst_stylize(generator, NULL, style, content.rgb, 5, 5, out) == FASTNST_BAD_ARGUMENT && says("takes no style"));
  CHECK(fastnst_style_encode(generator, NULL, content.rgb, 5, 5, &no_style) == FASTNST_BAD_ARGUMENT && no_style == NULL);
  CHECK(fastnst_style_mix(0, NULL, NULL, &no_style) == FASTNST_BAD_ARGUMENT && says("at least one style"));
  const fastnst_style* two[] = {style, style};
  const double negative[] = {1, -1}, nothing[] = {0, 0}, large[] = {1e308, 1e308};
  CHECK(fastnst_style_mix(2, two, negative, &no_style) == FASTNST_BAD_ARGUMENT && says("weights"));
  CHECK(fastnst_style_mix(2, two, nothing, &no_style) == FASTNST_BAD_ARGUMENT && no_style == NULL);
  CHECK(fastnst_style_mix(2, two, large, &no_style) == FASTNST_BAD_ARGUMENT && says("too large to be summed"));
  CHECK(fastnst_working_bytes(model, NULL, 100, 100, &bytes) == FASTNST_OK && bytes > 100 * 100);
  options.max_memory = 1000;
  CHECK(fastnst_translate(generator, &options, content.rgb, content.height, content.width, out) == FASTNST_BAD_ARGUMENT);
  CHECK(says("takes at least"));
  fastnst_model_free(NULL);
  fastnst_style_free(NULL);
}

enum { MASK_HEIGHT = 20, MASK_WIDTH = 30 };

/* Styles and strength by place, and colours, for fastnst_stylize and fastnst_stylize_rows in tiles. */
static void by_place(const fastnst_model* model, const fastnst_style* one, const fastnst_style* two,
                     const fastnst_style* cascade, picture content, unsigned char* out, const char* folder) {
  unsigned char left[MASK_HEIGHT * MASK_WIDTH], slope[MASK_HEIGHT * MASK_WIDTH];
  for (int i = 0; i < MASK_HEIGHT * MASK_WIDTH; i++) {
    left[i] = i % MASK_WIDTH < 12 ? 255 : 0;
    slope[i] = (unsigned char)(i % MASK_WIDTH * 7 + i / MASK_WIDTH * 2);
  }
  const fastnst_mask map = {MASK_HEIGHT, MASK_WIDTH, slope};
  const fastnst_region regions[] = {{{MASK_HEIGHT, MASK_WIDTH, left}, two}, {map, one}};
  fastnst_options options = FASTNST_OPTIONS;
  uint64_t bytes = 0;
  options.threads = 1, options.folder = folder;
  CHECK(fastnst_working_bytes(model, &options, content.height, content.width, &bytes) == FASTNST_OK);
  rows_state state;
  const fastnst_rows rows = {content.height, content.width, read_rows, write_rows, NULL, &state};
#define BOTH_WAYS(name, rest)                                                                                     \
  do {                                                                                                            \
    options.max_memory = 0;                                                                                       \
    CHECK(fastnst_stylize(model, &options, rest, content.rgb, content.height, content.width, out) == FASTNST_OK); \
    write_picture(folder, name, out, content);                                                                    \
    options.max_memory = bytes - bytes / 4;                                                                       \
    state = (rows_state){content, out, 0, 0, 0};                                                                  \
    memset(out, 0, (size_t)(content.height * content.width * 3));                                                 \
    CHECK(fastnst_stylize_rows(model, &options, rest, &rows) == FASTNST_OK);                                      \
    write_picture(folder, "rows_" name, out, content);                                                            \
  } while (0)
  options.preserve_color = FASTNST_LAB;
  BOTH_WAYS("lab", one);
  options.preserve_color = FASTNST_MATCH;
  BOTH_WAYS("match", one);
  options.preserve_color = FASTNST_HISTOGRAM;
  BOTH_WAYS("histogram", one);
  options.preserve_color = FASTNST_PALETTE;
  options.alpha_map = &map, options.alpha = 0.8;
  BOTH_WAYS("alpha_map", one);
  options.alpha_map = NULL, options.alpha = 1, options.regions = regions, options.region_count = 2;
  BOTH_WAYS("regions", one);
  options.region_count = 1;
  BOTH_WAYS("rest", NULL);
  options.preserve_color = FASTNST_LAB, options.alpha_map = &map;
  BOTH_WAYS("rest_lab", NULL);

#define MADE_OF(rest) fastnst_stylize(model, &options, rest, content.rgb, content.height, content.width, out)
#define REFUSED_REGION(values, height, width, style, words)        \
  do {                                                             \
    const fastnst_region wrong = {{height, width, values}, style}; \
    options.regions = &wrong;                                      \
    CHECK(MADE_OF(one) == FASTNST_BAD_ARGUMENT && says(words));    \
  } while (0)
  REFUSED_REGION(left, 0, 5, two, "sides of a mask");
  REFUSED_REGION(left, 5, 4097, two, "sides of a mask must be 1 to 4096");
  REFUSED_REGION(NULL, 5, 5, two, "mask is NULL");
  REFUSED_REGION(left, 5, 5, NULL, "the style of a region is NULL");
  REFUSED_REGION(left, 5, 5, cascade, "model");
  options.regions = NULL;
  CHECK(MADE_OF(one) == FASTNST_BAD_ARGUMENT && says("list of regions is NULL"));
  options.region_count = 0;
  CHECK(MADE_OF(NULL) == FASTNST_BAD_ARGUMENT && says("style is NULL"));
  options.preserve_color = 5;
  CHECK(MADE_OF(one) == FASTNST_BAD_ARGUMENT && says("preserve_color must be one of fastnst_colors, not 5"));
  fastnst_region many[65];
  for (size_t i = 0; i < 65; i++) many[i] = regions[0];
  options.preserve_color = 0, options.regions = many, options.region_count = 65;
  CHECK(MADE_OF(one) == FASTNST_BAD_ARGUMENT && says("at most 64 regions"));
  options.region_count = SIZE_MAX;
  CHECK(MADE_OF(one) == FASTNST_BAD_ARGUMENT && says("at most 64 regions"));

  /* A program that was compiled with the first header has nothing behind `folder`, and any number but 0 for luma. */
  options = (fastnst_options)FASTNST_OPTIONS;
  options.size = offsetof(fastnst_options, regions), options.region_count = 1, options.regions = regions;
  CHECK(MADE_OF(one) == FASTNST_OK);
  write_picture(folder, "first_header", out, content);
  options.preserve_color = 7;
  CHECK(MADE_OF(one) == FASTNST_OK);
  write_picture(folder, "first_header_luma", out, content);
}

/* A generator's own styles. */
static void of_its_own(const fastnst_model* styled, const fastnst_model* generator, const fastnst_model* adain,
                       const fastnst_style* style, picture content, unsigned char* out, const char* folder) {
  const double weights[] = {0, 3, 0, 1, 0}, none[5] = {0}, negative[] = {1, 0, 0, 0, -1};
  fastnst_options options = FASTNST_OPTIONS;
#define TRANSLATE(model) fastnst_translate(model, &options, content.rgb, content.height, content.width, out)
  CHECK(fastnst_model_styles(styled) == 5 && fastnst_model_styles(generator) == 0 && fastnst_model_styles(adain) == 0);
  CHECK(TRANSLATE(styled) == FASTNST_OK);
  write_picture(folder, "first_style", out, content);
  options.style_weights = weights, options.style_weight_count = 5;
  CHECK(TRANSLATE(styled) == FASTNST_OK);
  write_picture(folder, "own_styles", out, content);
  CHECK(TRANSLATE(generator) == FASTNST_BAD_ARGUMENT && says("no styles of its own"));
  CHECK(fastnst_stylize(adain, &options, style, content.rgb, content.height, content.width, out) == FASTNST_BAD_ARGUMENT);
  CHECK(says("generator's to choose"));
  options.style_weight_count = 4;
  CHECK(TRANSLATE(styled) == FASTNST_BAD_ARGUMENT && says("has 5 styles, and 4 weights are given"));
  options.style_weight_count = 5, options.style_weights = none;
  CHECK(TRANSLATE(styled) == FASTNST_BAD_ARGUMENT && says("not all 0"));
  options.style_weights = negative;
  CHECK(TRANSLATE(styled) == FASTNST_BAD_ARGUMENT && says("at least 0"));

  /* A program that was compiled with the second header has nothing behind `alpha_map`. */
  options.size = offsetof(fastnst_options, style_weights);
  CHECK(TRANSLATE(styled) == FASTNST_OK);
  write_picture(folder, "second_header", out, content);
}

static fastnst_model* load_from_memory(const char* path) {
  FILE* file = fopen(path, "rb");
  CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
  const size_t size = (size_t)ftell(file);
  unsigned char* data = malloc(size);
  rewind(file);
  CHECK(data != NULL && fread(data, 1, size, file) == size);
  fclose(file);
  fastnst_model* model = NULL;
  CHECK(fastnst_model_load(data, size - 1, &model) == FASTNST_BAD_MODEL && model == NULL);
  CHECK(fastnst_model_load(data, size, &model) == FASTNST_OK);
  memset(data, 0, size); /* it is not needed any more */
  free(data);
  return model;
}

int main(int count, char** arguments) {
  CHECK(count == 9);
  CHECK(strcmp(fastnst_error(), "") == 0);
  CHECK(strcmp(fastnst_version(), FASTNST_VERSION) == 0);
  CHECK(fastnst_instruction_set() != NULL);
  const char* folder = arguments[8];
  const picture content = read_picture(arguments[5]), style = read_picture(arguments[6]), other = read_picture(arguments[7]);
  unsigned char* out = malloc((size_t)(content.height * content.width * 3));
  CHECK(out != NULL);

  fastnst_model *adain = NULL, *wct = NULL, *generator = load_from_memory(arguments[3]);
  CHECK(fastnst_model_open(arguments[1], &adain) == FASTNST_OK);
  CHECK(fastnst_model_open(arguments[2], &wct) == FASTNST_OK);
  const int* levels = NULL;
  CHECK(fastnst_model_kind(adain) == FASTNST_ADAIN && fastnst_model_levels(adain, &levels) == 0);
  CHECK(fastnst_model_kind(wct) == FASTNST_WCT && fastnst_model_levels(wct, &levels) == 3 && levels[0] == 4);
  CHECK(fastnst_model_kind(generator) == FASTNST_GENERATOR && fastnst_model_card(generator)[0] == '{');

  fastnst_style *one = NULL, *two = NULL, *mixed = NULL, *cascade = NULL, *tiled = NULL;
  CHECK(fastnst_style_encode(adain, NULL, style.rgb, style.height, style.width, &one) == FASTNST_OK);
  CHECK(fastnst_style_encode(adain, NULL, other.rgb, other.height, other.width, &two) == FASTNST_OK);
  CHECK(fastnst_style_encode(wct, NULL, style.rgb, style.height, style.width, &cascade) == FASTNST_OK);
  const fastnst_style* both[] = {one, two};
  const double weights[] = {0.3, 0.1};
  CHECK(fastnst_style_mix(2, both, weights, &mixed) == FASTNST_OK);
  const fastnst_style* strangers[] = {one, cascade};
  CHECK(fastnst_style_mix(2, strangers, NULL, &tiled) == FASTNST_BAD_ARGUMENT && tiled == NULL && says("mixed"));

  fastnst_options options = FASTNST_OPTIONS;
#define MADE(name, model, style)                                                                                   \
  do {                                                                                                             \
    CHECK(fastnst_stylize(model, &options, style, content.rgb, content.height, content.width, out) == FASTNST_OK); \
    write_picture(folder, name, out, content);                                                                     \
  } while (0)
  MADE("plain", adain, one);
  options.alpha = 0.6, options.palette = 0.5, options.threads = 2;
  MADE("mixed", adain, mixed);
  options.preserve_color = 1;
  MADE("luma", adain, one);
  options = (fastnst_options)FASTNST_OPTIONS;
  MADE("cascade", wct, cascade);
  const int some[] = {1, 4};
  options.levels = some, options.level_count = 2;
  MADE("levels", wct, cascade);
  CHECK(fastnst_stylize(adain, NULL, cascade, content.rgb, content.height, content.width, out) == FASTNST_BAD_ARGUMENT);
  CHECK(fastnst_stylize(wct, NULL, one, content.rgb, content.height, content.width, out) == FASTNST_BAD_ARGUMENT);
  CHECK(fastnst_translate(generator, NULL, content.rgb, content.height, content.width, out) == FASTNST_OK);
  write_picture(folder, "translated", out, content);

  /* In tiles, in less memory than the whole takes; then in rows, and stopped on the way. */
  uint64_t bytes = 0;
  options = (fastnst_options)FASTNST_OPTIONS;
  options.threads = 1, options.folder = folder;
  CHECK(fastnst_working_bytes(adain, &options, content.height, content.width, &bytes) == FASTNST_OK);
  options.max_memory = bytes - bytes / 4;
  MADE("tiles", adain, one);
  rows_state state = {content, out, 0, 0, 0}, of_style = {style, NULL, 0, 0, 0};
  fastnst_rows rows = {content.height, content.width, read_rows, write_rows, tell, &state};
  fastnst_rows style_rows = {style.height, style.width, read_rows, NULL, NULL, &of_style};
  CHECK(fastnst_style_encode_rows(adain, &options, &style_rows, &tiled) == FASTNST_OK);
  CHECK(fastnst_stylize_rows(adain, &options, tiled, &rows) == FASTNST_OK && state.part == 1);
  write_picture(folder, "rows", out, content);
  options.preserve_color = 1, options.alpha = 0.6;
  state = (rows_state){content, out, 0, 0, 0};
  CHECK(fastnst_stylize_rows(adain, &options, tiled, &rows) == FASTNST_OK);
  write_picture(folder, "rows_luma", out, content);
  state = (rows_state){content, out, 0, 1, 0};
  CHECK(fastnst_stylize_rows(adain, &options, tiled, &rows) == FASTNST_STOPPED && says("callback"));
  options = (fastnst_options)FASTNST_OPTIONS;
  options.folder = folder, options.preserve_color = FASTNST_HISTOGRAM;
  CHECK(fastnst_working_bytes(generator, &options, content.height, content.width, &bytes) == FASTNST_OK);
  options.max_memory = bytes - bytes / 4;
  CHECK(fastnst_translate(generator, &options, content.rgb, content.height, content.width, out) == FASTNST_OK);
  write_picture(folder, "translated_tiles", out, content);
  state = (rows_state){content, out, 0, 0, 0};
  CHECK(fastnst_translate_rows(generator, &options, &rows) == FASTNST_OK && state.part == 1);
  write_picture(folder, "translated_rows", out, content);
  state = (rows_state){content, out, 0, 1, 0};
  CHECK(fastnst_translate_rows(generator, &options, &rows) == FASTNST_STOPPED && says("callback"));
  CHECK(fastnst_translate_rows(adain, &options, &rows) == FASTNST_BAD_ARGUMENT && says("needs a style"));
  rows.write = NULL;
  CHECK(fastnst_translate_rows(generator, &options, &rows) == FASTNST_BAD_ARGUMENT && says("write"));
  CHECK(fastnst_stylize_rows(adain, &options, tiled, &rows) == FASTNST_BAD_ARGUMENT && says("write"));

  by_place(adain, one, two, cascade, content, out, folder);
  options = (fastnst_options)FASTNST_OPTIONS;
  options.preserve_color = FASTNST_HISTOGRAM;
  CHECK(fastnst_translate(generator, &options, content.rgb, content.height, content.width, out) == FASTNST_OK);
  write_picture(folder, "translated_histogram", out, content);
  const unsigned char all = 255;
  const fastnst_mask everywhere = {1, 1, &all};
  options.alpha_map = &everywhere;
  CHECK(fastnst_translate(generator, &options, content.rgb, content.height, content.width, out) == FASTNST_BAD_ARGUMENT);
  CHECK(says("no regions"));

  wrong_arguments(adain, one, generator, content, out);
  fastnst_model* styled = load_from_memory(arguments[4]);
  of_its_own(styled, generator, adain, one, content, out, folder);
  fastnst_model_free(styled);

  fastnst_style* const styles[] = {one, two, mixed, cascade, tiled};
  for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) fastnst_style_free(styles[i]);
  fastnst_model_free(adain);
  fastnst_model_free(wct);
  fastnst_model_free(generator);
  free(content.rgb);
  free(style.rgb);
  free(other.rgb);
  free(out);
  return 0;
}
