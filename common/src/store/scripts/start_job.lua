-- Records that an instance starts a job, and decides whether it may run.
--
-- KEYS  submission, jobs
-- ARGV  job name, generation, instance id, worker, redelivered (0|1), exclusive (0|1), poison limit,
--       deadline in ms (may be empty)
-- Returns {verdict, crashes}: run | run-exclusive | poison | expired | finished | stale | orphaned | closed
--
-- A redelivered job that an earlier instance started and never finished may have crashed that instance: from then
-- on it runs exclusively. Only crashes during exclusive runs count towards the poison limit, so other jobs that were
-- in flight with a poisoned job are never blamed. After `run-exclusive`, the worker calls again with exclusive = 1
-- once no other job is in flight; until then the job is `waiting` and cannot crash anything. If an instance that
-- counts as crashed shows up again, its crash is taken back (see heartbeat_job).

local submission, jobs = KEYS[1], KEYS[2]
local name, generation, instance, worker = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local redelivered, exclusive, limit = ARGV[5] == '1', ARGV[6] == '1', tonumber(ARGV[7])

local job, ignored = open_job(submission, jobs, name, generation)
if not job then return {ignored, 0} end
if ARGV[8] ~= '' and now_ms() > tonumber(ARGV[8]) then return {'expired', job.crashes} end

if redelivered and job.state == 'started' and job.instance ~= instance then
  job.crashes = job.crashes + 1
  job.blamed = job.blamed or {}
  job.blamed[job.instance] = job.exclusive or false
  if job.exclusive then job.exclusive_crashes = job.exclusive_crashes + 1 end
  add_history(job, job.worker, job.exclusive and 'the worker died while it ran this job exclusively'
    or 'the worker died while this job was in flight')
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
