-- Decides whether a job whose message RabbitMQ dropped is published again, and after which delay.
--
-- KEYS  submission, jobs
-- ARGV  job name, generation, then the delays in ms after the first drop, the second, …; the last one repeats
-- Returns how often it was dropped, or 0 and finished | stale | orphaned | closed | waiting
--
-- "waiting": another message of the job is due later, so this one is not needed. A job that was never started gets a
-- record, which keeps the rescuer from publishing it meanwhile.

local submission, jobs, name = KEYS[1], KEYS[2], ARGV[1]

local job, ignored = open_job(submission, jobs, name, tonumber(ARGV[2]))
if not job then return {0, ignored} end
local now = now_ms()
if (job.not_before_ms or 0) > now then return {0, 'waiting'} end

job.state = job.state or 'available'
job.drops = (job.drops or 0) + 1
job.not_before_ms = now + tonumber(ARGV[math.min(2 + job.drops, #ARGV)])
redis.call('HSET', jobs, name, cjson.encode(job))
return {job.drops, ''}
