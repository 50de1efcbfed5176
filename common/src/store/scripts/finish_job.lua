-- Applies the outcome of one job of items, once.
--
-- KEYS  submission, results, jobs
-- ARGV  job name, generation, end state (done|dead), doorbell channel, submission id,
--       then for each item: index, class (succeeded|cached|failed), result JSON
-- Returns applied | repeated | stale | orphaned | closed
--
-- Results, counters and the done mark change together. An item that has a result already (from an
-- earlier attempt) keeps it and is not counted again. The last job closes the submission, and the
-- retention starts then.

local submission, results, jobs = KEYS[1], KEYS[2], KEYS[3]
local name, generation, end_state = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local state = redis.call('HGET', submission, 'state')
if not state then return 'orphaned' end
if state ~= 'running' then return 'closed' end

local text = redis.call('HGET', jobs, name)
local job = text and cjson.decode(text) or {crashes = 0, alone_crashes = 0}
if (job.generation or 0) > generation then return 'stale' end
if job.state == 'done' or job.state == 'dead' then return 'repeated' end

local succeeded, cached, failed = 0, 0, 0
for at = 6, #ARGV, 3 do
  if redis.call('HSETNX', results, ARGV[at], ARGV[at + 2]) == 1 then
    if ARGV[at + 1] == 'failed' then
      failed = failed + 1
    else
      succeeded = succeeded + 1
      if ARGV[at + 1] == 'cached' then cached = cached + 1 end
    end
  end
end

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
job.state, job.generation, job.touched_ms = end_state, generation, now_ms
redis.call('HSET', jobs, name, cjson.encode(job))
redis.call('HINCRBY', submission, 'succeeded', succeeded)
redis.call('HINCRBY', submission, 'cached', cached)
failed = redis.call('HINCRBY', submission, 'failed', failed)
local finished = redis.call('HINCRBY', submission, 'jobs_finished', 1)

if finished == tonumber(redis.call('HGET', submission, 'jobs')) then
  local verdict = failed > 0 and 'completed_with_errors' or 'succeeded'
  redis.call('HSET', submission, 'state', verdict, 'finished_ms', now_ms)
  local retention = redis.call('HGET', submission, 'retention_ms')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 'applied'
