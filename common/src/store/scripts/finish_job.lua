-- Applies the outcome of one job of items, once.
--
-- KEYS  submission, results, jobs, progress of a crawl job
-- ARGV  job name, generation, final state (done|discarded), notification channel, submission id,
--       device class or '', then for each item: index, class (succeeded|cached|failed), result JSON
-- Returns applied | finished | stale | orphaned | closed
--
-- Results, counters and the job's state change together. An item that already has a result, from an earlier attempt,
-- keeps it and is not counted again. The last job closes the submission and starts its retention. A crawl stays open
-- until the leader has written its rows, and a prediction with an output until it has written the manifest
-- (end_submission.lua); a submission whose items are still being listed, until they are (complete_listing.lua). The progress of a crawl is deleted only when the job is done: a discarded job may be requeued.

local submission, results, jobs = KEYS[1], KEYS[2], KEYS[3]
local name, generation, end_state = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local job, ignored = open_job(submission, jobs, name, generation)
if not job then return ignored end
local index = tonumber(name)
if not index or index >= tonumber(redis.call('HGET', submission, 'jobs') or 0) then return 'orphaned' end

local failed = apply_results(submission, results, 6)
job.state, job.snoozed = end_state, nil
write_job(jobs, name, job)
if end_state == 'done' then redis.call('UNLINK', KEYS[4]) end
local finished = redis.call('HINCRBY', submission, 'jobs_finished', 1)

local leader_ends = redis.call('HGET', submission, 'kind') == 'crawl' or redis.call('HEXISTS', submission, 'output') == 1
if finished == tonumber(redis.call('HGET', submission, 'jobs')) and not leader_ends then
  local verdict = failed > 0 and 'completed_with_errors' or 'succeeded'
  redis.call('HSET', submission, 'state', verdict, 'finished_ms', now_ms())
  local retention = redis.call('HGET', submission, 'retention_ms')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 'applied'
