"""Webcam gaze on two replies side by side, as the study IFLLM published it, to preference pairs and recorded gaze.

Source: Chang, Gomez, Patwari, Sajith and Zamani (2026), "Your Mouse and Eyes Secretly Leak Your Preference", arXiv
2606.20482; github.com/themehulpatwari/llm-implicit-feedback, folder `dataset`.

    query_logs_table.csv                                    --questions.py--> what was asked, both replies, the label
    user_behavior/READER/TASK/rel_gaze_one.csv, _two.csv    --traces.py-----> samples: time, text around the gaze
                  samples + questions   --find_samples.py-> the character of the reply that each sample lies on
                  characters            --dwell.py--------> visits of words and their measures
                                        --import_ifllm.py-> gates, pairs.jsonl, gaze.parquet, report.json
"""
