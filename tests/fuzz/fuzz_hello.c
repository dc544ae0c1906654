/* The clear bytes that begin a channel. */
#include "fuzz.h"

#include "channel/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[HELLO_SIZE] = {0}, again[HELLO_SIZE];
	struct hello hello;
	struct err err;

	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	if (hello_parse(bytes, &hello, &err) == 0) {
		hello_format(&hello, again);
		assert(memcmp(bytes, again, sizeof(bytes)) == 0);
	} else {
		assert(err.code == ERR_CORRUPT && memcmp(bytes, "MUSTER", 6) != 0);
	}
	return 0;
}
