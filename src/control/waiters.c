/* Clients that wait until a document changes: see answers.h. */
#include "control/answers.h"

#include "core/text.h"

#include <stdlib.h>

bool waiters_add(struct waiters *waiters, struct client *client, const json_t *request)
{
	const json_t *after = json_object_get(request, "after");

	if (!json_is_integer(after) || (uint64_t)json_integer_value(after) < waiters->version)
		return false;
	waiters->list = mem_grow(waiters->list, waiters->count + 1, sizeof(struct client *));
	waiters->list[waiters->count++] = client;
	return true;
}

void waiters_wake(struct waiters *waiters, json_t *(*make)(void *arg), void *arg)
{
	struct client **list = waiters->list;
	size_t count = waiters->count;

	/* who is answered may ask again at once: that is for the next time */
	waiters->list = NULL;
	waiters->count = 0;
	waiters->version++;
	for (size_t i = 0; i < count; i++)
		client_answer(list[i], make(arg));
	free(list);
}

void waiters_forget(struct waiters *waiters, const struct client *client)
{
	for (size_t i = 0; i < waiters->count; i++)
		if (waiters->list[i] == client)
			waiters->list[i--] = waiters->list[--waiters->count];
}

void waiters_clear(struct waiters *waiters)
{
	free(waiters->list);
	*waiters = (struct waiters){0};
}
