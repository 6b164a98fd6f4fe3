-- ARGV: 3 how long the topic is known, 4 the offset to read after or nothing, 5 how many at most,
-- 6 how many bytes at most, but one message at least.
if redis.call('PTTL', KEYS[1]) < ARGV[3] / 2 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local messages = {}
if ARGV[4] ~= '' and tonumber(ARGV[4]) < tonumber(o) then
  messages = redis.call('XRANGE', KEYS[2], '(' .. ARGV[4] .. '-1', '+', 'COUNT', ARGV[5])
  local bytes = 0
  for i, entry in ipairs(messages) do
    bytes = bytes + #entry[2][2]
    if i > 1 and bytes > tonumber(ARGV[6]) then
      for last = #messages, i, -1 do messages[last] = nil end
      break
    end
  end
end
return {e, o, f, g, first and first[1] or '', messages}
