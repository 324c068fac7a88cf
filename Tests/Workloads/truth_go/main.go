// truth_go OBJECTS — a Go program that calls C's allocator, counted by itself; protocol and output as in truth.c.
// What Go allocates for itself it takes from its own runtime, which is no business of drip's.
package main

/*
#include <stdlib.h>
// Not the last thing that it does: a tail call leaves no frame.
__attribute__((noipa)) static void *site_c(size_t size)
{
	void *result = malloc(size);
	__asm__ volatile ("" : "+r" (result));
	return result;
}
__attribute__((noipa)) static void site_c_free(void *pointer) { free(pointer); }
*/
import "C"

import (
	"os"
	"strconv"
	"unsafe"
)

func waitForLine() {
	var byte [1]byte
	for {
		n, _ := os.Stdin.Read(byte[:])
		if n != 1 || byte[0] == '\n' {
			return
		}
	}
}

func line(words ...interface{}) {
	text := ""
	for i, word := range words {
		if i > 0 {
			text += " "
		}
		switch value := word.(type) {
		case string:
			text += value
		case int:
			text += strconv.Itoa(value)
		}
	}
	os.Stdout.WriteString(text + "\n")
}

func main() {
	count := 1000
	if len(os.Args) > 1 {
		count, _ = strconv.Atoi(os.Args[1])
	}
	// cgo's own function is the site of C.malloc: the stack of C begins there.
	fromC := make([]unsafe.Pointer, count)
	fromGo := make([]unsafe.Pointer, count)
	line("READY")
	waitForLine()
	bytes, gone, goneBytes := 0, 0, 0
	for i := range fromC {
		fromC[i] = C.site_c(C.size_t(i + 1))
		fromGo[i] = C.malloc(C.size_t(i + 1))
		bytes += i + 1
	}
	for i := 0; i < count; i += 3 {
		C.site_c_free(fromC[i])
		C.free(fromGo[i])
		gone++
		goneBytes += i + 1
	}
	line("DONE")
	line("SITE site_c", count, gone, bytes, goneBytes, count-gone, bytes-goneBytes)
	line("SITE _Cfunc__Cmalloc", count, gone, bytes, goneBytes, count-gone, bytes-goneBytes)
	line("TOTAL", 2*count, 2*gone, 2*bytes, 2*goneBytes, 2*(count-gone), 2*(bytes-goneBytes))
	waitForLine()
	os.Stdout.WriteString("BYE\n")
}
