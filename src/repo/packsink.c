/* Packs that come in: see pack.h. */
#include "repo/pack.h"

#include "core/limits.h"
#include "core/mapped.h"
#include "core/text.h"
#include "repo/object.h"

#include <stdlib.h>

struct pack_sink {
	git_odb_writepack *writer;
	git_indexer_progress progress;
	size_t total;
};

static int on_progress(const git_indexer_progress *progress, void *arg)
{
	(void)arg;
	return progress->total_objects > LIMIT_PACK_OBJECTS ? GIT_EUSER : 0;
}

int pack_sink_new(struct repo *repo, struct pack_sink **out, struct err *err)
{
	struct pack_sink *sink = mem_new(1, sizeof(*sink));
	int rc = git_odb_write_pack(&sink->writer, repo_odb(repo), on_progress, NULL);

	if (rc != 0) {
		free(sink);
		return git_err(err, rc, "pack");
	}
	mapped_begin();
	*out = sink;
	return 0;
}

int pack_sink_put(struct pack_sink *sink, const void *data, size_t n, struct err *err)
{
	if (n > LIMIT_PACK_SIZE - sink->total)
		return err_set(err, ERR_REFUSED, "a pack of more than %u bytes", LIMIT_PACK_SIZE);
	sink->total += n;
	if (sink->writer->append(sink->writer, data, n, &sink->progress) == 0)
		return 0;
	if (sink->progress.total_objects > LIMIT_PACK_OBJECTS)
		return err_set(err, ERR_REFUSED, "a pack of %u objects",
			       sink->progress.total_objects);
	return git_err(err, ERR_CORRUPT, "pack");
}

int pack_sink_end(struct pack_sink *sink, bool whole, struct err *err)
{
	int rc = 0;

	if (whole && sink->writer->commit(sink->writer, &sink->progress) != 0)
		rc = git_err(err, ERR_CORRUPT, "pack");
	sink->writer->free(sink->writer);
	free(sink);
	if (mapped_end() && whole) /* whatever it led to */
		rc = err_set(err, ERR_NONE, MAPPED_LOST);
	return rc;
}

int pack_put(struct repo *repo, const void *data, size_t n, struct err *err)
{
	struct pack_sink *sink;
	int rc;

	if (pack_sink_new(repo, &sink, err) != 0)
		return -1;
	rc = pack_sink_put(sink, data, n, err);
	if (rc == 0)
		return pack_sink_end(sink, true, err);
	(void)pack_sink_end(sink, false, NULL); /* it failed already */
	return rc;
}
