-- Ends the rest of a submission's jobs, which are then missed and published again; the copies that rest have no
-- effect when they come back.
--
-- KEYS  submission, jobs
-- ARGV  doorbell channel, submission id
-- Returns how many rested

local submission, jobs = KEYS[1], KEYS[2]
local ended, now = 0, now_ms()
local all = redis.call('HGETALL', jobs)
for at = 1, #all, 2 do
  local job = cjson.decode(all[at + 1])
  if job.state == 'paused' and job.paused and job.paused.until_ms > now then
    job.paused = nil
    -- Not touched, so that it is missed at once.
    redis.call('HSET', jobs, all[at], cjson.encode(job))
    ended = ended + 1
  end
end
if ended > 0 then
  redis.call('HDEL', submission, 'paused_until_ms', 'paused_reason')
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return ended
