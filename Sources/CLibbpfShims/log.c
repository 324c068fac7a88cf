#include "CLibbpfShims.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static clibbpf_log_sink current_sink;

static int print_to_sink(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[4096], *whole = NULL;
	va_list again;
	int length;

	va_copy(again, args);
	length = vsnprintf(line, sizeof(line), format, args);
	/* The verifier's log is one message, and its end is what matters. */
	if (length >= (int)sizeof(line) && (whole = malloc((size_t)length + 1)))
		vsnprintf(whole, (size_t)length + 1, format, again);
	va_end(again);
	if (current_sink)
		current_sink((int)level, whole ? whole : line);
	free(whole);
	return length;
}

void clibbpf_set_log_sink(clibbpf_log_sink sink)
{
	current_sink = sink;
	libbpf_set_print(print_to_sink);
}
