/* What the daemon asks of the hook runner. The parser is not public, so the source is part of this
 * harness. */
#include "fuzz.h"

#include "core/runner.c"

static void put_text(struct buf *out, const char *text)
{
	buf_put_part(out, text, strlen(text));
}

/* As proc.c does. The first variable is the runner's own. */
static void put_request(const struct request *request, struct buf *out)
{
	uint32_t count = 0;

	while (request->env[count + 1])
		count++;
	buf_put_be32(out, request->limit_ms);
	buf_put_be32(out, request->total_ms);
	buf_put_be32(out, request->again);
	put_text(out, request->step);
	put_text(out, request->folder);
	put_text(out, request->argument);
	buf_put_be32(out, count);
	for (uint32_t i = 0; i < count; i++)
		put_text(out, request->env[i + 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request request, second;
	struct buf wire;

	buf_init(&wire, RUNNER_REQUEST_MAX);
	if (size <= RUNNER_REQUEST_MAX && request_parse(data, size, &request)) {
		put_request(&request, &wire);
		/* a part is a string: what follows a NUL in it is dropped */
		assert(fuzz_same(&wire, data, size) || wire.len < size);
		assert(text_starts(request.env[0], "PATH="));
		assert(request_parse(wire.data, wire.len, &second));
		assert(strcmp(request.folder, second.folder) == 0);
		request_clear(&second);
	}
	if (size <= RUNNER_REQUEST_MAX)
		request_clear(&request);
	buf_clear(&wire);
	return 0;
}
