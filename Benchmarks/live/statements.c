/* statements: a host of SQLite that prepares and finalizes statements, and forgets to finalize one in fifty. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static sqlite3 *base;

static void check(int result)
{
	if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE)
		return;
	fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(base));
	exit(1);
}

__attribute__((noinline)) static void insert(int number)
{
	sqlite3_stmt *statement;

	check(sqlite3_prepare_v2(base, "insert or replace into t values (?, ?)", -1, &statement, NULL));
	check(sqlite3_bind_int(statement, 1, number % 1000));
	check(sqlite3_bind_text(statement, 2, "some words to be kept", -1, SQLITE_STATIC));
	check(sqlite3_step(statement));
	check(sqlite3_finalize(statement));
}

__attribute__((noinline)) static void find(int number)
{
	sqlite3_stmt *statement;

	check(sqlite3_prepare_v2(base, "select word from t where number = ?", -1, &statement, NULL));
	check(sqlite3_bind_int(statement, 1, number % 1000));
	check(sqlite3_step(statement));
	check(sqlite3_reset(statement));
	if (number % 50)
		check(sqlite3_finalize(statement));
}

int main(void)
{
	check(sqlite3_open(":memory:", &base));
	check(sqlite3_exec(base, "create table t (number integer primary key, word text)", NULL, NULL, NULL));
	puts("READY");
	fflush(stdout);
	for (int number = 0;; number++) {
		insert(number);
		find(number);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}
