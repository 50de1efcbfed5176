-- Requeues a discarded job under a new generation, and removes the failures of its unresolved items.
--
-- KEYS  submission, results, jobs
-- ARGV  job name, first item, items, notification channel, submission id
-- Returns {verdict, generation, restored items}; the verdict is requeued | not-discarded | orphaned | closed
--
-- Only failures that mean "never resolved" are removed; a bad item stays failed. A submission that had finished is open
-- again, and does not expire while it is open. A prediction with an output stays as it is once all jobs are finished:
-- its shards may be in the manifest already.

local submission, results, jobs = KEYS[1], KEYS[2], KEYS[3]
local name, first, items = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local state = redis.call('HGET', submission, 'state')
if not state then return {'orphaned', 0, 0} end
if state ~= 'running' and state ~= 'succeeded' and state ~= 'completed_with_errors' then return {'closed', 0, 0} end
local field = function(of) return tonumber(redis.call('HGET', submission, of) or 0) end
if redis.call('HGET', submission, 'output') == '1' and field('jobs_finished') >= field('jobs') then
  return {'closed', 0, 0}
end

local job = read_job(jobs, name)
local generation = job.generation or 0
if job.state ~= 'discarded' then return {'not-discarded', generation, 0} end

local restored_items = 0
for index = first, first + items - 1 do
  local text = redis.call('HGET', results, index)
  if text then
    local result = cjson.decode(text)
    local unresolved = result.reason == 'poison' or result.reason == 'discarded' or result.reason == 'expired'
    if result.state == 'failed' and unresolved then
      redis.call('HDEL', results, index)
      restored_items = restored_items + 1
    end
  end
end
redis.call('HINCRBY', submission, 'failed', 0 - restored_items)
redis.call('HINCRBY', submission, 'jobs_finished', -1)
redis.call('HSET', submission, 'state', 'running')
redis.call('HDEL', submission, 'finished_ms')
for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
write_job(jobs, name, {
  state = 'requeued', generation = generation + 1, crashes = 0, exclusive_crashes = 0, history = job.history,
})
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {'requeued', generation + 1, restored_items}
