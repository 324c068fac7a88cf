/*
 * sampler_objects N [THROWS]: every operator new and delete of C++, N times; none is left. Unless THROWS is 0, an
 * exception passes through operator new, which cannot find the memory. (mimalloc's ends the program then.)
 *
 * READY, line, DONE or FAILED, line, BYE.
 */
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>
#include <unistd.h>

struct alignas(128) Wide {
	char bytes[400];
};

static void say(const char *text) { (void)!write(1, text, std::char_traits<char>::length(text)); }

static bool wait_for_line()
{
	for (char byte; read(0, &byte, 1) == 1;)
		if (byte == '\n')
			return true;
	return false;
}

__attribute__((noipa)) static void hide(void *) {}

static void aligned()
{
	Wide *one = new Wide, *many = new Wide[3], *maybe = new (std::nothrow) Wide, *maybe_many = new (std::nothrow) Wide[3];

	hide(one), hide(many), hide(maybe), hide(maybe_many);
	delete one;
	delete[] many;
	::operator delete(maybe, std::align_val_t{alignof(Wide)}, std::nothrow);
	operator delete[](maybe_many, std::align_val_t{alignof(Wide)}, std::nothrow);
}

static void plain()
{
	void *one = ::operator new(24), *many = ::operator new[](240), *sized = ::operator new(2400);
	void *maybe = ::operator new(50, std::nothrow), *maybe_many = ::operator new[](500, std::nothrow);

	::operator delete(one);
	::operator delete[](many);
	::operator delete(sized, std::size_t{2400});
	::operator delete(maybe, std::nothrow);
	::operator delete[](maybe_many, std::nothrow);
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000;
	volatile std::size_t huge = PTRDIFF_MAX - 4096;
	bool throws = argc <= 2 || atol(argv[2]) != 0;
	int thrown = 0;

	say("READY\n");
	if (!wait_for_line())
		return 1;
	for (long i = 0; i < n; i++) {
		aligned();
		plain();
		{
			std::vector<std::string> strings(10, std::string(200 + i % 100, 'x'));
			hide(strings.data());
		}
		try {
			if (throws)
				hide(::operator new(huge));
		} catch (const std::bad_alloc &) {
			thrown++;
		}
	}
	say(thrown == (throws ? n : 0) ? "DONE\n" : "FAILED no exception\n");
	wait_for_line();
	say("BYE\n");
	_exit(0);
}
