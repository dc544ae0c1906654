/* A node's state file. Its parser is not public, so the source is part of this harness. */
#include "fuzz.h"

#include "node/state.c"

static int parse(const void *data, size_t size, struct node_state *state)
{
	json_t *doc = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
	int rc = doc ? parse_state(state, doc) : -1;

	json_decref(doc);
	return rc;
}

static void check_log(struct node_state *state)
{
	static const struct oid fresh = {{1, 2, 3}};
	struct state_entry *entry;

	for (size_t i = 0; i < state->log_count; i++) {
		assert(node_state_accepted(state, &state->log[i].release));
		assert(*verdict_word(state->log[i].verdict));
	}
	entry = node_state_note(state, &fresh, UINT64_MAX);
	assert(node_state_find(state, &fresh) == entry && state->log_count <= STATE_LOG_MAX);
	entry_verdict(entry, VERDICT_REJECTED, "check", "\x80 a reason\n");
	free(node_state_format(state));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node_state state = {0}, second = {0};

	if (parse(size ? (const char *)data : "", size, &state) == 0) {
		char *text = node_state_format(&state), *again;

		assert(parse(text, strlen(text), &second) == 0);
		again = node_state_format(&second);
		assert(strcmp(text, again) == 0 && state.log_count == second.log_count);
		check_log(&state);
		free(text);
		free(again);
	}
	node_state_clear(&state);
	node_state_clear(&second);
	return 0;
}
