-- Lets a job rest until its source may be asked again, or until others had their turn. It costs no attempt.
--
-- KEYS  submission, jobs
-- ARGV  job name, generation, instance id, until in ms, reason, notification channel, submission id
-- Returns applied | finished | stale | orphaned | closed

local submission, jobs = KEYS[1], KEYS[2]
local name, generation = ARGV[1], tonumber(ARGV[2])

local job, why = open_job(submission, jobs, name, generation)
if not job then return why end

if job.instance == ARGV[3] then
  job.state = 'snoozed'
  -- It has shown that it harms nobody, however many processes ended meanwhile.
  job.crashes, job.exclusive_crashes, job.blamed = 0, 0, nil
end
job.snoozed = {until_ms = tonumber(ARGV[4]), reason = ARGV[5]}
write_job(jobs, name, job)
redis.call('HSET', submission, 'snoozed_until_ms', ARGV[4], 'snoozed_reason', ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 'applied'
