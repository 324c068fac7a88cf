/*
 * A library in C++ for a program in C that opens it apart from its own (RTLD_LOCAL): its operators new and delete must be
 * those of the C++ library that comes with it.
 */
#include <new>
#include <string>
#include <vector>

extern "C" int allocate_and_throw(int count)
{
	std::vector<std::string> strings;
	int thrown = 0;

	for (int i = 0; i < count; i++) {
		strings.push_back(std::string(100 + i % 1000, 'x'));
		try {
			if (i % 10 == 0)
				throw std::string("thrown");
		} catch (const std::string &) {
			thrown++;
		}
	}
	return thrown + (int)strings.size();
}
