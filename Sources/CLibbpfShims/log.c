#include "CLibbpfShims.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>

static clibbpf_log_sink current_sink;

static int print_to_sink(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[4096];
	int length = vsnprintf(line, sizeof(line), format, args);

	if (current_sink)
		current_sink((int)level, line);
	return length;
}

void clibbpf_set_log_sink(clibbpf_log_sink sink)
{
	current_sink = sink;
	libbpf_set_print(print_to_sink);
}
