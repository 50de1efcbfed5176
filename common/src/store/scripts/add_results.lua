-- Stores results of a job's items before the job is finished, since what it writes depends on them.
--
-- KEYS  submission, results, jobs
-- ARGV  job name, generation, notification channel, submission id,
--       device class or '', then for each resolved item: index, class (succeeded|cached|failed), result JSON
-- Returns applied | finished | stale | orphaned | closed
--
-- An item that already has a result keeps it, so whoever reads the results afterwards reads the same.

local submission, results, jobs = KEYS[1], KEYS[2], KEYS[3]

local job, ignored = open_job(submission, jobs, ARGV[1], tonumber(ARGV[2]))
if not job then return ignored end

apply_results(submission, results, 5)
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 'applied'
