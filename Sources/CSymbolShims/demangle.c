#define _GNU_SOURCE
#include "CSymbolShims.h"

#include <stdlib.h>
#include <string.h>

// Exported by libstdc++, on which the Swift runtime depends.
extern char *__cxa_demangle(const char *name, char *buffer, size_t *length, int *status);
// Exported by the Swift runtime (libswiftCore).
extern char *swift_demangle(const char *name, size_t length, char *buffer, size_t *buffer_size, uint32_t flags);

size_t drip_demangle(enum drip_language language, const char *name, char *out, size_t capacity) {
  int status = 0;
  char *text = language == DRIP_SWIFT ? swift_demangle(name, strlen(name), NULL, NULL, 0)
                                      : __cxa_demangle(name, NULL, NULL, &status);
  if (!text) return 0;
  size_t used = strnlen(text, capacity);
  memcpy(out, text, used);
  free(text);
  return used;
}
