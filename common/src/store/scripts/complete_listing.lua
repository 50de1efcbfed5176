-- Ends the listing of a submission whose jobs are all recorded: counts its rejected items, whose results are written, and
-- closes it if no job is unfinished. From then on, its last job ends it (finish_job.lua).
--
-- KEYS  submission, results, jobs
-- ARGV  fencing token, rejected items, notification channel, submission id, items with jobs, jobs, manifest
-- Returns completed | not-listing | fenced
--
-- It writes what the last extend_submission wrote, in case Redis has lost that since.

local submission, results = KEYS[1], KEYS[2]
if fenced(submission, ARGV[1]) then return 'fenced' end
local field = function(name) return redis.call('HGET', submission, name) end
local state = field('state')
if state ~= 'running' or field('output') ~= 'listing' then
  -- If it was closed meanwhile, the results of rejected items are newer than its retention.
  if not state then
    redis.call('UNLINK', results)
  elseif state ~= 'preparing' and state ~= 'running' then
    redis.call('PEXPIRE', results, field('retention_ms'), 'NX')
  end
  return 'not-listing'
end
redis.call('HDEL', submission, 'output')
redis.call('HSET', submission, 'items', ARGV[5] + ARGV[2], 'jobs', ARGV[6], 'manifest', ARGV[7])
local failed = redis.call('HINCRBY', submission, 'failed', ARGV[2])
if tonumber(field('jobs_finished') or 0) >= tonumber(field('jobs')) then
  local now = redis.call('TIME')
  local verdict = failed > 0 and 'completed_with_errors' or 'succeeded'
  redis.call('HSET', submission, 'state', verdict, 'finished_ms', now[1] * 1000 + math.floor(now[2] / 1000))
  local retention = field('retention_ms')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 'completed'
