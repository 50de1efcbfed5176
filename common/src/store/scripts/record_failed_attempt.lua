-- Ends an attempt that did not resolve every item: keeps what it did resolve, and why it stopped.
--
-- KEYS  submission, results, jobs
-- ARGV  job name, generation, instance id, worker, error, notification channel, submission id, rest in ms until
--       the next attempt,
--       then for each resolved item: index, class (succeeded|cached|failed), result JSON
-- Returns applied | finished | stale | orphaned | closed
--
-- The job itself stays unfinished; the next attempt finds the resolved items and leaves them alone.

local submission, results, jobs = KEYS[1], KEYS[2], KEYS[3]
local name, generation, instance = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local job, why = open_job(submission, jobs, name, generation)
if not job then return why end

apply_results(submission, results, 9)
remember(job, ARGV[4], ARGV[5])
acquit(job, instance)
if job.instance == instance then job.state = 'retryable' end
job.not_before_ms = now_ms() + tonumber(ARGV[8])
job.snoozed = nil
write_job(jobs, name, job)
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 'applied'
