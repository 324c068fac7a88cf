/* SPDX-License-Identifier: Apache-2.0
 *
 * When the next sample is due, and what it stands for. Without libm, which the program may not have. These run once
 * a sample, so they are exact rather than quick: about 20 ns. */
#include "drip_sampler.h"

uint64_t drip_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

#define LN2 0.693147180559945309417232121458

/* ln(x / 2^63), for a whole x from 1 to 2^63. */
static double log_of_part(uint64_t x)
{
	int exponent = 63 - __builtin_clzll(x);
	double mantissa = (double)(x << (63 - exponent)) * 0x1p-63; /* from 1 to 2, both included */
	double t, square, sum = 0;

	/* From sqrt(1/2) to sqrt(2), so that t is at most 0.172. */
	if (mantissa > 1.41421356237309504880) {
		mantissa *= 0.5;
		exponent++;
	}
	/* ln m = 2 artanh((m - 1) / (m + 1)); the first term left out is below 2^-56 of the sum. */
	t = (mantissa - 1) / (mantissa + 1);
	square = t * t;
	for (int n = 21; n > 0; n -= 2)
		sum = sum * square + 1.0 / n;
	return 2 * t * sum + (exponent - 63) * LN2;
}

uint64_t drip_draw(uint64_t *state, uint64_t mean)
{
	/* From 1 to 2^63, all equally likely: a part of 1 that is never 0. */
	double distance = -log_of_part((drip_random(state) >> 1) + 1) * (double)mean;
	uint64_t whole = (uint64_t)distance;

	whole += (double)whole < distance;
	return whole > 0 ? whole : 1;
}

/* x / (1 - exp(-x)), for x from 0 to 64. */
static double inverse_part(double x)
{
	double exponential = 1, part;
	int halvings = 0;

	if (x < 0.5) {
		/* The series of the Bernoulli numbers, which loses no digits to a difference. Next term: 5e-13. */
		double y = x * x;

		return 1 + x / 2 + y * (1.0 / 12 - y * (1.0 / 720 - y * (1.0 / 30240 - y * (1.0 / 1209600 - y / 47900160))));
	}
	/* exp(-x) = exp(-x / 2^n)^(2^n). */
	for (part = x; part > 0.25; part *= 0.5)
		halvings++;
	for (int n = 12; n > 0; n--)
		exponential = 1 - exponential * part / n;
	while (halvings-- > 0)
		exponential *= exponential;
	return x / (1 - exponential);
}

uint64_t drip_weight(uint64_t size, uint64_t mean)
{
	double part = (double)size / (double)mean;

	if (part > 64)
		return size; /* 1 - exp(-64) differs from 1 by less than a double can say */
	return (uint64_t)(inverse_part(part) * (double)mean + 0.5);
}

uint64_t drip_parse_bytes(const char *text, uint64_t otherwise)
{
	uint64_t value = 0;
	int shift = 0;

	if (text == NULL || *text < '0' || *text > '9')
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > DRIP_SAMPLE_LARGEST)
			return otherwise;
	}
	switch (*text) {
	case 'k': case 'K': shift = 10; break;
	case 'm': case 'M': shift = 20; break;
	case 'g': case 'G': shift = 30; break;
	}
	if (shift > 0) {
		text++;
		if (*text == 'i')
			text++;
	}
	if (*text == 'B')
		text++;
	if (*text != '\0' || value > DRIP_SAMPLE_LARGEST >> shift)
		return otherwise;
	return value << shift;
}
