-- Ends the rest of the jobs of a submission that wait for a host. They get a new generation, so that the copies that
-- rest have no effect when they come back, and are missed and published again. With a deadline, which only the first
-- generation has, they come back by themselves.
--
-- KEYS  submission, jobs
-- ARGV  host, notification channel, submission id
-- Returns how many rested

local submission, jobs = KEYS[1], KEYS[2]
local host, ended, now = ARGV[1], 0, now_ms()
if redis.call('HEXISTS', submission, 'deadline_ms') == 1 then return 0 end
local all = redis.call('HGETALL', jobs)
for at = 1, #all, 2 do
  local job = cjson.decode(all[at + 1])
  local rests = job.state == 'snoozed' and job.snoozed and job.snoozed.until_ms > now
  if rests and job.snoozed.reason:sub(1, #host + 1) == host .. ' ' then
    job.snoozed, job.state, job.generation = nil, 'requeued', (job.generation or 0) + 1
    -- Not touched, so that it is missed at once.
    redis.call('HSET', jobs, all[at], cjson.encode(job))
    ended = ended + 1
  end
end
if ended > 0 then
  redis.call('HDEL', submission, 'snoozed_until_ms', 'snoozed_reason')
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return ended
