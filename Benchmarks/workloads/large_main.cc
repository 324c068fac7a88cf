// The main unit of the large program: calls every other one (UNITS lists them as U(10) U(11) …), then waits.
#include <cstdio>
#include <unistd.h>

#define U(n) long run_##n(long);
UNITS
#undef U

int main(int argc, char **)
{
	long sum = 0;
#define U(n) sum += run_##n(argc);
	UNITS
#undef U
	std::printf("sum %ld\nready\n", sum);
	std::fflush(stdout);
	pause();
}
