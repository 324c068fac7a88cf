/*
 * hostport PORT — writes its input to an I/O port, byte by byte: what a guest has to say to qemu's isa-debugcon and
 * isa-debug-exit devices. They take a byte at once and for sure. A serial line does not: it hangs now and then, until
 * something else is written, when an interrupt of the emulated UART is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned char bytes[65536];
	unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 0) : 0;
	ssize_t count;

	if (port == 0 || port > 0xffff)
		return 2;
	if (ioperm(port, 1, 1) != 0) {
		perror("ioperm");
		return 1;
	}
	while ((count = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < count; i++)
			outb(bytes[i], (unsigned short)port);
	return count < 0;
}
