-- Snoozes a job until its host is available again or its next time slice, without spending an attempt.
--
-- KEYS  submission, jobs
-- ARGV  job name, generation, instance id, end of the snooze in ms, reason, notification channel, submission id
-- Returns applied | finished | stale | orphaned | closed

local submission, jobs = KEYS[1], KEYS[2]
local name, generation = ARGV[1], tonumber(ARGV[2])

local job, ignored = open_job(submission, jobs, name, generation)
if not job then return ignored end

if job.instance == ARGV[3] then
  job.state = 'snoozed'
  -- The job has run without crashing this process, so earlier crashes were not its fault.
  job.crashes, job.exclusive_crashes, job.blamed = 0, 0, nil
end
job.snoozed = {until_ms = tonumber(ARGV[4]), reason = ARGV[5]}
write_job(jobs, name, job)
redis.call('HSET', submission, 'snoozed_until_ms', ARGV[4], 'snoozed_reason', ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 'applied'
