-- Ends a failed attempt: stores its results and its error.
--
-- KEYS  submission, results, jobs
-- ARGV  job name, generation, instance id, worker, error, notification channel, submission id, ms until the next
--       attempt, device class or '',
--       then for each resolved item: index, class (succeeded|cached|failed), result JSON
-- Returns applied | finished | stale | orphaned | closed
--
-- The job stays unfinished; the next attempt runs only its unresolved items.

local submission, results, jobs = KEYS[1], KEYS[2], KEYS[3]
local name, generation, instance = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local job, ignored = open_job(submission, jobs, name, generation)
if not job then return ignored end

apply_results(submission, results, 9)
add_history(job, ARGV[4], ARGV[5])
retract_crash(job, instance)
if job.instance == instance then job.state = 'retryable' end
job.not_before_ms = now_ms() + tonumber(ARGV[8])
job.snoozed = nil
write_job(jobs, name, job)
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 'applied'
