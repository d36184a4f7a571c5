/* A delegate that stands for libedgetpu: it claims the operators that were compiled for the Edge TPU, and does what it is told.

   The folder named by FAKE_EDGETPU holds a file for each device (usb-0, pci-1 …) with a word: ok, slow MS, lie, fail, hang, crash,
   vanish, hang-open, crash-open. It is read at each call, so that a test can change its mind. A device has one user: its file is locked.

   The structures are those of TFLite's C interface (tensorflow/lite/core/c/common.h), as far as they are used here; they have not
   changed between tflite-runtime 2.14 and LiteRT 2.3. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct Delegate Delegate;
typedef struct Context Context;

typedef struct {
  int type;
  union { uint8_t *bytes; void *raw; } data;
  IntArray *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  Delegate *delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

typedef struct {
  IntArray *inputs, *outputs, *intermediates, *temporaries;
  void *user_data, *builtin_data;
  const void *custom_initial_data;
  int custom_initial_data_size;
  Delegate *delegate;
  bool might_have_side_effect;
} Node;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *external, *async_kernel;
  uint64_t inplace_operator;
  void *room_for_what_newer_ones_add[4];
} Registration;

struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(Context *, IntArray **);
  Tensor *tensors;
  void *impl;
  int (*ResizeTensor)(Context *, Tensor *, IntArray *);
  void (*ReportError)(Context *, const char *, ...);
  int (*AddTensors)(Context *, int, int *);
  int (*GetNodeAndRegistration)(Context *, int, Node **, Registration **);
  int (*ReplaceNodeSubsetsWithDelegateKernels)(Context *, Registration, const IntArray *, Delegate *);
};

struct Delegate {
  void *data;
  int (*Prepare)(Context *, Delegate *);
  int (*CopyFromBufferHandle)(Context *, Delegate *, int, Tensor *);
  int (*CopyToBufferHandle)(Context *, Delegate *, int, Tensor *);
  void (*FreeBufferHandle)(Context *, Delegate *, int *);
  int64_t flags;
  void *opaque_delegate_builder;
};

typedef struct { Delegate delegate; char path[512]; int file; } Device;

static bool told(const Device *device, char *word, size_t size, int *number) {
  FILE *file = fopen(device->path, "r");
  if (file == NULL) return false;
  char line[64] = "";
  if (fgets(line, sizeof line, file) == NULL) line[0] = 0;
  fclose(file);
  *number = 0;
  word[0] = 0;
  sscanf(line, "%31s %d", word, number);
  (void)size;
  return strcmp(word, "vanish") != 0;
}

static int invoke(Context *context, Node *node) {
  Device *device = node->user_data;
  char word[32];
  int number;
  if (!told(device, word, sizeof word, &number)) {
    context->ReportError(context, "fake edgetpu: the device is gone");
    return 1;
  }
  if (strcmp(word, "hang") == 0) for (;;) pause();
  if (strcmp(word, "crash") == 0) raise(SIGSEGV);
  if (strcmp(word, "fail") == 0) {
    context->ReportError(context, "fake edgetpu: transfer failed");
    return 1;
  }
  if (strcmp(word, "slow") == 0) usleep(number * 1000);
  uint32_t hash = strcmp(word, "lie") == 0 ? 12345u : 2166136261u;
  for (int i = 0; i < node->inputs->size; i++) {
    const Tensor *input = &context->tensors[node->inputs->data[i]];
    for (size_t k = 0; k < input->bytes; k++) hash = (hash ^ input->data.bytes[k]) * 16777619u;
  }
  for (int i = 0; i < node->outputs->size; i++) {
    Tensor *output = &context->tensors[node->outputs->data[i]];
    memset(output->data.raw, 0, output->bytes);
    output->data.bytes[hash % output->bytes] = 255;
  }
  return 0;
}

static void *init(Context *context, const char *buffer, size_t length) {
  (void)context, (void)length;
  return *(Delegate *const *)buffer; /* TfLiteDelegateParams begins with the delegate, which begins a Device. */
}

static void done(Context *context, void *user_data) { (void)context, (void)user_data; }

static int ready(Context *context, Node *node) {
  (void)context, (void)node;
  return 0;
}

static int prepare(Context *context, Delegate *delegate) {
  IntArray *all;
  if (context->GetExecutionPlan(context, &all) != 0) return 1;
  IntArray *mine = calloc(1, sizeof(IntArray) + all->size * sizeof(int));
  for (int i = 0; i < all->size; i++) {
    Node *node;
    Registration *registration;
    if (context->GetNodeAndRegistration(context, all->data[i], &node, &registration) != 0) return 1;
    if (registration->custom_name != NULL && strcmp(registration->custom_name, "edgetpu-custom-op") == 0)
      mine->data[mine->size++] = all->data[i];
  }
  Registration kernel = {.init = init, .free = done, .prepare = ready, .invoke = invoke, .custom_name = "fake-edgetpu", .version = 1};
  int status = context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, mine, delegate);
  free(mine);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  const char *folder = getenv("FAKE_EDGETPU"), *name = "usb:0";
  for (size_t i = 0; i < count; i++)
    if (strcmp(keys[i], "device") == 0) name = values[i];
  Device *device = calloc(1, sizeof *device);
  snprintf(device->path, sizeof device->path, "%s/%s", folder == NULL ? "/nowhere" : folder, name);
  char *colon = strrchr(device->path, ':');
  if (colon != NULL) *colon = '-';
  char word[32];
  int number;
  device->file = open(device->path, O_RDONLY | O_CLOEXEC);
  const char *trouble = device->file < 0 || !told(device, word, sizeof word, &number) ? "fake edgetpu: no such device" : NULL;
  if (trouble == NULL && flock(device->file, LOCK_EX | LOCK_NB) != 0) trouble = "fake edgetpu: the device is in use";
  if (trouble != NULL) {
    if (report != NULL) report(trouble);
    if (device->file >= 0) close(device->file);
    free(device);
    return NULL;
  }
  if (strcmp(word, "hang-open") == 0) for (;;) pause();
  if (strcmp(word, "crash-open") == 0) raise(SIGSEGV);
  /* 1: dynamic tensors are allowed. Without it the runtime prepares every operator itself first, and refuses those that it does not know. */
  device->delegate = (Delegate){.data = device, .Prepare = prepare, .flags = 1};
  return &device->delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  Device *device = (Device *)delegate;
  close(device->file);
  free(device);
}
