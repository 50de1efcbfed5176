-- Wakes the jobs of a submission that are snoozed because of a host. They get a new generation, so that their delayed
-- messages have no effect, and the rescuer publishes them again. Does nothing if the submission has a deadline, which
-- only messages of the first generation carry: the delayed messages then return on their own.
--
-- KEYS  submission, jobs
-- ARGV  host, notification channel, submission id
-- Returns how many jobs were woken

-- Whether the reason names the host, as in "backing off from HOST: …". A false match only wakes a job early.
local function mentions(reason, host)
  local words = ' ' .. reason .. ' '
  return words:find(' ' .. host .. ' ', 1, true) or words:find(' ' .. host .. ': ', 1, true)
end

local submission, jobs = KEYS[1], KEYS[2]
local host, woken, now = ARGV[1], 0, now_ms()
if redis.call('HEXISTS', submission, 'deadline_ms') == 1 then return 0 end
local all = redis.call('HGETALL', jobs)
for at = 1, #all, 2 do
  local job = cjson.decode(all[at + 1])
  local is_snoozed = job.state == 'snoozed' and job.snoozed and job.snoozed.until_ms > now
  if is_snoozed and mentions(job.snoozed.reason, host) then
    job.snoozed, job.state, job.generation = nil, 'requeued', (job.generation or 0) + 1
    -- Not write_job: heartbeat_ms stays old, so that the rescuer finds the job at once.
    redis.call('HSET', jobs, all[at], cjson.encode(job))
    woken = woken + 1
  end
end
if woken > 0 then
  redis.call('HDEL', submission, 'snoozed_until_ms', 'snoozed_reason')
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return woken
