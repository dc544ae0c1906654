/* The admin's state file. */
#include "fuzz.h"

#include "admin/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct admin_state state = {.has_published = false}, second = {.has_published = false},
			   copy;
	struct err err = {.code = ERR_NONE};
	struct buf text, again;

	if (state_parse(size ? (const char *)data : "", size, &state, &err) != 0) {
		assert(err.code == ERR_CORRUPT && !state.roles && !state.reasons);
		return 0;
	}
	buf_init(&text, 4 << 20);
	buf_init(&again, 4 << 20);
	state_copy(&state, &copy);
	state_format(&state, &text);
	state_clear(&state);
	assert(state_parse(text.data, text.len, &second, &err) == 0);
	state_format(&second, &again);
	assert(fuzz_same(&again, text.data, text.len));
	buf_reset(&again);
	state_format(&copy, &again);
	assert(fuzz_same(&again, text.data, text.len));
	for (size_t i = 0; i < second.role_count; i++)
		assert(state_find_role(&second, second.roles[i].name) == second.roles + i);
	state_clear(&second);
	state_clear(&copy);
	buf_clear(&text);
	buf_clear(&again);
	return 0;
}
