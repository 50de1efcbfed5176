-- Marks a job as started by one process, and judges its past.
--
-- KEYS  submission, jobs
-- ARGV  job name, generation, instance id, worker, redelivered (0|1), exclusive (0|1), poison limit,
--       deadline in ms (may be empty)
-- Returns {verdict, crashes}: run | run-exclusive | poison | expired | finished | stale | orphaned | closed
--
-- A job that an earlier instance started and never finished, and that the broker delivers again, may have
-- killed that process: from then on it runs alone. Only crashes while alone count towards the limit, so
-- a neighbour of a poisoned job is never blamed. Told `run-exclusive`, the process calls again with `alone`
-- once nothing else is in flight; until then the job counts as waiting, for it can harm nobody. A process that
-- shows itself again is acquitted (see heartbeat_job).

local submission, jobs = KEYS[1], KEYS[2]
local name, generation, instance, worker = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local redelivered, exclusive, limit = ARGV[5] == '1', ARGV[6] == '1', tonumber(ARGV[7])

local job, why = open_job(submission, jobs, name, generation)
if not job then return {why, 0} end
if ARGV[8] ~= '' and now_ms() > tonumber(ARGV[8]) then return {'expired', job.crashes} end

if redelivered and job.state == 'started' and job.instance ~= instance then
  job.crashes = job.crashes + 1
  job.blamed = job.blamed or {}
  job.blamed[job.instance] = job.exclusive or false
  if job.exclusive then job.exclusive_crashes = job.exclusive_crashes + 1 end
  remember(job, job.worker, job.exclusive and 'it ended while it ran this job alone' or 'it ended while it held this job')
end
local verdict = 'run'
job.state = 'started'
if job.exclusive_crashes >= limit then
  verdict, job.state = 'poison', 'poisoned'
elseif job.crashes > 0 and not exclusive then
  verdict, job.state = 'run-exclusive', 'waiting'
end
job.instance, job.worker, job.exclusive = instance, worker, exclusive
job.not_before_ms, job.snoozed = nil, nil
write_job(jobs, name, job)
return {verdict, job.crashes}
