// One unit of a large C++ program. It is compiled once, to assembly, and assembled many times with another number in
// its names (build.mk): each unit brings types of its own, and with them its own instances of the standard library.
// The result has the debug information of a big program without the hours that compiling one takes.
#include <algorithm>
#include <any>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define SPACE PASTE(unit_, UNIT)

namespace SPACE {

template <int N> struct Key {
	int value;
	std::string text;
	bool operator<(const Key &other) const { return std::tie(value, text) < std::tie(other.value, other.text); }
	bool operator==(const Key &other) const { return value == other.value && text == other.text; }
};

template <int N> struct Hash {
	size_t operator()(const Key<N> &key) const { return std::hash<std::string>()(key.text) * 31 + key.value; }
};

template <int N> struct Record {
	std::map<Key<N>, std::vector<Key<N + 1>>> index;
	std::unordered_map<Key<N>, std::deque<std::unique_ptr<Key<N>>>, Hash<N>> table;
	std::set<std::pair<Key<N>, double>> order;
	std::list<std::variant<int, double, Key<N>, std::string>> values;
	std::function<long(const Key<N> &)> measure;
	std::shared_ptr<Key<N>> shared;

	long fill(long seed)
	{
		std::mt19937_64 random(seed + N);
		for (int i = 0; i < 4; i++) {
			Key<N> key{int(random() % 1000), std::to_string(random())};
			index[key].push_back({i, key.text + "x"});
			table[key].push_back(std::make_unique<Key<N>>(key));
			order.emplace(key, double(i));
			values.emplace_back(key);
			values.emplace_back(i);
			shared = std::make_shared<Key<N>>(key);
		}
		measure = [this](const Key<N> &key) { return long(key.text.size()) + long(index.size()); };
		std::vector<Key<N>> sorted;
		for (auto &[key, list] : index) sorted.push_back(key);
		std::sort(sorted.begin(), sorted.end(), [](auto &a, auto &b) { return b.text < a.text; });
		std::stable_sort(sorted.begin(), sorted.end());
		return std::accumulate(sorted.begin(), sorted.end(), 0L,
				       [&](long sum, const Key<N> &key) { return sum + measure(key); });
	}

	long visit()
	{
		long sum = 0;
		for (auto &value : values)
			sum += std::visit(
				[](auto &one) -> long {
					using Type = std::decay_t<decltype(one)>;
					if constexpr (std::is_same_v<Type, Key<N>>) return one.value;
					else if constexpr (std::is_same_v<Type, std::string>) return long(one.size());
					else return long(one);
				},
				value);
		std::priority_queue<Key<N>, std::vector<Key<N>>> queue;
		for (auto &[key, list] : index) queue.push(key);
		while (!queue.empty()) {
			sum += queue.top().value;
			queue.pop();
		}
		return sum;
	}
};

template <int N> long all(long seed)
{
	Record<N> record;
	long sum = record.fill(seed) + record.visit();
	if constexpr (N > 0) sum += all<N - 1>(seed);
	return sum;
}

static long text(long seed)
{
	std::ostringstream out;
	out << std::setw(8) << seed << std::hex << seed;
	static const std::regex words("([a-z]+)|([0-9]+)");
	std::string all = out.str();
	long count = std::distance(std::sregex_iterator(all.begin(), all.end(), words), std::sregex_iterator());
	std::any any = std::filesystem::path("/a") / all;
	return count + long(std::any_cast<std::filesystem::path>(any).string().size());
}

} // namespace SPACE

long PASTE(run_, UNIT)(long seed)
{
	return SPACE::all<DEPTH>(seed) + SPACE::text(seed);
}
