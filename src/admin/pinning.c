/* Holding a node and letting it follow again: see pinning.h. */
#include "admin/pinning.h"

#include "admin/pins.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

/*
 * What the node says of its own pins. A number beyond all that an admin can have signed is no
 * reason to have none left for it: it is not believed.
 */
static uint64_t reported_sequence(const struct node *node)
{
	const char *said = node_said(node, "pin-sequence");
	uint64_t sequence = 0;

	if (*said && text_number(said, INT64_MAX, &sequence) != 0)
		log_warning("pins", node->name,
			    "reports the pin sequence %.30s, which is not believed", said);
	return sequence;
}

int pinning_begin(struct registry *registry, const struct pinboard *board,
		  const struct pinning_wish *wish, struct pinning *out, struct err *err)
{
	const struct node *node = registry_find(registry, wish->node);
	const struct pinned *pinned = pinboard_find(board, wish->node);
	const char *by = node ? node_said(node, "held-by") : "";
	bool held = (pinned && pinned->hold) || strcmp(by, "admin") == 0;

	if (!node)
		return registry_unknown(registry, wish->node, err);
	if (!wish->rev && !held && strcmp(by, "node") == 0)
		return err_set(
			err, ERR_REFUSED,
			"node %s is held by itself and not from here: muster resume --here on that "
			"machine ends it",
			node->name);
	*out = (struct pinning){.above = reported_sequence(node),
				.needless = !wish->rev && !held,
				.connected = node->connected,
				.held_here = strcmp(by, "node") == 0,
				.rev = wish->rev ? text_copy(wish->rev) : NULL,
				.reason = text_copy(wish->reason ? wish->reason : ""),
				.host = text_copy(wish->host)};
	memcpy(out->node, node->name, sizeof(out->node));
	memcpy(out->role, node->role, sizeof(out->role));
	buf_init(&out->raw, PIN_RAW_MAX);
	return 0;
}

int pinning_run(struct pinning *pinning, const struct home *home, const struct identity *identity,
		struct err *err)
{
	const struct pin_wish wish = {.node = pinning->node,
				      .role = pinning->role,
				      .rev = pinning->rev,
				      .reason = pinning->reason,
				      .host = pinning->host,
				      .above = pinning->above};
	char hex[OID_HEX_SIZE];
	struct err why;

	/* what does not exist is the revision: on the control socket GONE would be the daemon */
	if (pin_make(home, identity, &wish, &pinning->pin, &pinning->raw, &why) != 0)
		return err_set(err, why.code == ERR_GONE ? ERR_REFUSED : why.code, "%s", why.text);
	if (pinning->pin.hold)
		log_notice("pins", pinning->node, "held at %s: %s",
			   oid_hex(&pinning->pin.release, hex), pinning->pin.reason);
	else
		log_notice("pins", pinning->node, "follows again: %s", pinning->pin.reason);
	return 0;
}

json_t *pinning_json(const struct pinning *pinning)
{
	char hex[OID_HEX_SIZE];

	return json_pack("{s:s, s:s, s:b, s:b, s:s, s:b, s:b}", "node", pinning->node, "role",
			 pinning->role, "changed", !pinning->needless, "held", pinning->pin.hold,
			 "release", oid_hex(&pinning->pin.release, hex), "connected",
			 pinning->connected, "heldHere", pinning->held_here);
}

void pinning_clear(struct pinning *pinning)
{
	free(pinning->rev);
	free(pinning->reason);
	free(pinning->host);
	buf_clear(&pinning->raw);
	*pinning = (struct pinning){.rev = NULL};
}
