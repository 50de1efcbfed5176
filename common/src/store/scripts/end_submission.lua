-- Closes a submission that the leader ends: a crawl whose rows are written, or a prediction whose shards are complete.
--
-- KEYS  submission, results, jobs
-- ARGV  fencing token, notification channel, submission id
-- Returns closed | not-finished | fenced
--
-- A job of a crawl may have been requeued while the rows were written; then the crawl stays open.

local submission = KEYS[1]
if fenced(submission, ARGV[1]) then return 'fenced' end
local field = function(name) return tonumber(redis.call('HGET', submission, name) or 0) end
if redis.call('HGET', submission, 'state') ~= 'running' or field('jobs_finished') < field('jobs')
  or redis.call('HGET', submission, 'output') == 'listing' then
  return 'not-finished'
end
local now = redis.call('TIME')
local verdict = field('failed') > 0 and 'completed_with_errors' or 'succeeded'
redis.call('HSET', submission, 'state', verdict, 'finished_ms', now[1] * 1000 + math.floor(now[2] / 1000))
local retention = redis.call('HGET', submission, 'retention_ms')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 'closed'
